"""The best model is kept, and TEST.PATIENCE ends a run in time. Engine-neutral."""

import json
import math
from pathlib import Path

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.training import distributed
from resnext_det.training.best import BestMetric, check_best_metric
from resnext_det.training.checkpoint import Checkpointer, load_checkpoint
from resnext_det.training.hooks import run_outcome
from resnext_det.training.launch import launch
from resnext_det.training.newest import BEST
from resnext_det.training.place import Request
from resnext_det.training.result import write_result
from resnext_det.training.run_directory import open_run
from tests.training.conftest import NormNet
from tests.training.runs import Interrupted, train

# Of the evaluations after iterations 0, 1, 2, …
RISING_THEN_FALLING = [10.0, 30.0, 20.0, 25.0, 29.0, 40.0, 41.0, 42.0, 43.0, 44.0]
NONE_SKIPPED = {"non_finite": {"skipped": 0, "iterations": []}}


@pytest.fixture
def watched(cfg):
    cfg.TEST.EVAL_PERIOD, cfg.TEST.BEST_METRIC = 1, "bbox/AP"
    cfg.SOLVER.CHECKPOINT_PERIOD = 2
    return cfg


def evaluate(model, iteration):
    return {"bbox/AP": RISING_THEN_FALLING[iteration], "bbox/AP50": 1.0}


def best_of(cfg):
    return load_checkpoint(Path(cfg.OUTPUT_DIR) / f"{BEST}.pth")


def test_the_best_model_is_kept_with_its_metric_and_iteration(watched, norm_net):
    loop, hooks = train(watched, norm_net, evaluate=evaluate)
    assert best_of(watched)["best"] == {"metric": "bbox/AP", "value": 44.0, "iteration": 9}
    assert best_of(watched)["iteration"] == 9
    assert run_outcome(loop, hooks) == {
        "iteration": 9,
        **NONE_SKIPPED,
        "best": {"metric": "bbox/AP", "value": 44.0, "iteration": 9},
        "stopped_at": None,
    }
    latest = Checkpointer(watched.OUTPUT_DIR).latest()
    assert latest is not None
    assert latest.name == "model_final.pth"  # never model_best


def test_a_run_that_gets_no_better_ends_cleanly(watched, norm_net, caplog):
    watched.TEST.PATIENCE = 3
    with caplog.at_level("INFO"):
        loop, hooks = train(watched, norm_net, evaluate=evaluate)
    best = {"metric": "bbox/AP", "value": 30.0, "iteration": 1}
    assert run_outcome(loop, hooks) == {
        "iteration": 4,
        **NONE_SKIPPED,
        "best": best,
        "stopped_at": 4,
    }
    assert load_checkpoint(Path(watched.OUTPUT_DIR) / "model_final.pth")["iteration"] == 4
    expected = "TEST.BEST_METRIC bbox/AP is best at 30 (iteration 1), 3 evaluations ago"
    assert f"{expected}: TEST.PATIENCE ends the run" in caplog.text
    lines = (Path(watched.OUTPUT_DIR) / "metrics.json").read_text().splitlines()
    written = [json.loads(line) for line in lines]
    assert [line["iteration"] for line in written if "bbox/AP" in line] == [0, 1, 2, 3, 4]
    assert [line["iteration"] for line in written if "total_loss" in line] == [4]


def test_it_ends_in_the_same_place_after_a_resume(watched, norm_net):
    watched.TEST.PATIENCE = 3
    with pytest.raises(Interrupted):
        train(watched, norm_net, evaluate=evaluate, interrupt_after=3)
    loop, hooks = train(watched, norm_net, evaluate=evaluate, resume=True)
    best = {"metric": "bbox/AP", "value": 30.0, "iteration": 1}
    assert run_outcome(loop, hooks) == {
        "iteration": 4,
        **NONE_SKIPPED,
        "best": best,
        "stopped_at": 4,
    }


def test_a_stopped_run_is_finished_until_more_patience_is_asked_for(watched, norm_net):
    watched.TEST.PATIENCE = 3
    train(watched, norm_net, evaluate=evaluate)
    # Its result is not written yet: only the evaluation is left, which is not counted again.
    start = open_run(watched, watched.OUTPUT_DIR, resume=True, engine="portable")
    assert (start.start_iteration, start.finished) == (5, False)
    loop, hooks = train(watched, norm_net, evaluate=evaluate, resume=True)
    assert run_outcome(loop, hooks)["stopped_at"] == 4
    write_result(watched.OUTPUT_DIR, cfg=watched, engine="portable", seed=3, metrics={})
    assert open_run(watched, watched.OUTPUT_DIR, resume=True, engine="portable").finished
    watched.TEST.PATIENCE = 4
    assert not open_run(watched, watched.OUTPUT_DIR, resume=True, engine="portable").finished
    loop, hooks = train(watched, norm_net, evaluate=evaluate, resume=True)
    assert run_outcome(loop, hooks)["iteration"] == 9
    assert best_of(watched)["best"]["value"] == 44.0


def test_losses_are_minimised():
    best = BestMetric("val/total_loss")
    values = [3.0, 2.0, 2.5, math.nan, 1.0]
    better = [best.update({"val/total_loss": v}, i) for i, v in enumerate(values)]
    assert better == [True, True, False, False, True]
    assert (best.value, best.iteration, best.misses) == (1.0, 4, 0)


def test_the_same_evaluation_counts_once():
    best = BestMetric("top1", patience=2)
    assert best.update({"top1": 5.0}, 0)
    assert not best.update({"top1": 4.0}, 1)
    assert not best.update({"top1": 4.0}, 1)
    assert (best.misses, best.is_spent) == (1, False)


def test_a_metric_without_a_value_is_said_and_not_counted(caplog):
    best = BestMetric("bbox/APl", patience=1)
    assert not best.update({"bbox/APl": None}, 0)
    assert not best.is_spent
    assert "TEST.BEST_METRIC bbox/APl has no value on this test set" in caplog.text


def test_another_metric_starts_anew():
    best = BestMetric("top1")
    best.update({"top1": 50.0}, 3)
    other = BestMetric("top5")
    other.load_state_dict(best.state_dict())
    assert (other.value, other.misses) == (None, 0)


NAMES = ["bbox/AP", "bbox/AP50", "bbox/AP-cat", "val/loss*", "val/total_loss"]


@pytest.mark.parametrize("metric", ["", "bbox/AP-cat", "val/total_loss", "val/loss_rpn_cls"])
def test_names_that_there_will_be(cfg, metric):
    cfg.TEST.BEST_METRIC = metric
    check_best_metric(cfg, NAMES)


def test_an_unknown_name_is_refused_with_all_names_and_the_nearest(cfg):
    cfg.TEST.BEST_METRIC = "bbox/ap50"
    with pytest.raises(UserError) as error:
        check_best_metric(cfg, NAMES[:3])
    assert str(error.value) == (
        "TEST.BEST_METRIC is bbox/ap50, but there are bbox/AP, bbox/AP-cat, bbox/AP50; "
        "bbox/AP50 is meant?"
    )
    cfg.TEST.BEST_METRIC = "val/total_loss"
    with pytest.raises(UserError, match="losses need TEST.VALIDATION_LOSS True$"):
        check_best_metric(cfg, NAMES[:3])
    with pytest.raises(UserError, match="loss_x, but there are val/total_loss; .* is meant.$"):
        BestMetric("val/loss_x").update({"val/total_loss": 1.0}, 0)


def test_a_best_model_alone_in_a_folder_is_not_overwritten(cfg, norm_net):
    Checkpointer(cfg.OUTPUT_DIR).save_best(norm_net, 3, {"metric": "top1", "value": 1.0})
    with pytest.raises(UserError, match=r"holds model_best.pth of a run that ended before its fir"):
        open_run(cfg, cfg.OUTPUT_DIR, resume=False, engine="portable")


def decide(folder: str) -> None:
    """Runs in each process: only the main one has metrics."""
    best = BestMetric("top1", patience=2)
    main = distributed.is_main()
    better = [best.update({"top1": v} if main else {}, i) for i, v in enumerate([5.0, 4.0, 3.0])]
    Path(folder, f"{distributed.rank()}.json").write_text(json.dumps([better, best.is_spent]))


def test_all_processes_decide_alike(tmp_path):
    launch(decide, Request(num_gpus=2), (str(tmp_path),))
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == [[True, False, False], True]


def stop_together(cfg) -> None:
    """Runs in each process: the main one alone sees that nothing gets better."""
    torch.manual_seed(0)
    loop, hooks = train(cfg, NormNet(), evaluate=evaluate if distributed.is_main() else None)
    learnt = distributed.all_gather_objects(run_outcome(loop, hooks))
    if distributed.is_main():
        (Path(cfg.OUTPUT_DIR) / "outcomes.json").write_text(json.dumps(learnt))


def test_several_processes_stop_together(watched):
    watched.TEST.PATIENCE = 3
    watched.SOLVER.EMA.ENABLED, watched.SOLVER.GRADIENT_ACCUMULATION = True, 2
    launch(stop_together, Request(num_gpus=2), (watched,))
    outcomes = json.loads((Path(watched.OUTPUT_DIR) / "outcomes.json").read_text())
    best = {"metric": "bbox/AP", "value": 30.0, "iteration": 1}
    assert outcomes == [{"iteration": 4, **NONE_SKIPPED, "best": best, "stopped_at": 4}] * 2
