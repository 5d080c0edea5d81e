"""What both engines promise: the same files, resume to the bit, and the same refusals."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from resnext_det.config import load_config
from resnext_det.data.samplers import BatchPlan, SampleKey
from resnext_det.engines.base import Engine
from resnext_det.engines.detection import evaluate_detector, train_detector
from resnext_det.errors import UserError
from tests.engines.conftest import Bench

FILES = {
    "config.yaml",
    "inference",
    "last_checkpoint",
    "log.txt",
    "metrics.json",
    "model_0000002.pth",
    "model_0000005.pth",
    "model_final.pth",
    "result.json",
}


def test_training_writes_detectron2s_files(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run"))
    folder = bench.folder / "run"
    names = {path.name for path in folder.iterdir()}
    assert names - {n for n in names if n.startswith("events.out")} == FILES
    assert (folder / "inference" / "coco_instances_results.json").is_file()
    assert (folder / "last_checkpoint").read_text() == "model_final.pth"


def test_result_holds_metrics_config_seed_and_versions(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run"))
    result = json.loads((bench.folder / "run" / "result.json").read_text())
    assert set(result["metrics"]) == {
        *("AP", "AP50", "AP75", "APs", "APm", "APl"),
        *("AP-red", "AP-green"),
    }
    # No rectangle has 96 x 96 px, where COCO's large objects begin.
    assert result["metrics"]["APl"] is None
    assert result["engine"] == engine.name
    assert result["seed"] == 7
    assert result["config"]["MODEL"]["ROI_HEADS"]["NUM_CLASSES"] == 2
    assert torch.__version__.startswith(result["versions"]["torch"])
    assert result["class_names"] == ["red", "green"]


def test_metrics_json_has_each_loss_and_the_evaluation(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run", "TEST.EVAL_PERIOD", 3))
    lines = (bench.folder / "run" / "metrics.json").read_text().splitlines()
    written = [json.loads(line) for line in lines]
    names = set().union(*written)
    assert names >= {
        *("iteration", "lr", "total_loss", "loss_cls", "loss_box_reg"),
        *("loss_rpn_cls", "loss_rpn_loc", "time", "data_time", "bbox/AP", "bbox/AP-red"),
    }


def test_checkpoint_is_data_only_and_carries_config_and_classes(
    engine: Engine, bench: Bench
) -> None:
    train_detector(engine, bench.job("run"))
    content = torch.load(bench.folder / "run" / "model_final.pth", weights_only=True)
    assert content["class_names"] == ["red", "green"]
    assert content["engine"] == engine.name
    assert content["iteration"] == 5
    assert "NUM_GROUPS: 4" in content["config"]


def test_resumed_run_equals_the_uninterrupted_one(
    engine: Engine, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_detector(engine, bench.job("whole"))
    with monkeypatch.context() as patch:
        patch.setattr(BatchPlan, "batches", _interrupted_at(4))
        with pytest.raises(KeyboardInterrupt):
            train_detector(engine, bench.job("cut"))
    assert not (bench.folder / "cut" / "result.json").exists()
    train_detector(engine, bench.job("cut", resume=True))
    whole, cut = (_final_weights(bench.folder / name) for name in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_same_seed_gives_the_same_run_and_another_seed_another(
    engine: Engine, bench: Bench
) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        train_detector(engine, bench.job(name, "SEED", seed, "DATASETS.TEST", "[]"))
    a, b, c = (_final_weights(bench.folder / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)


def test_finished_run_resumed_does_nothing_and_says_so(
    engine: Engine, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    train_detector(engine, bench.job("run"))
    before = _stamps(bench.folder / "run")
    with caplog.at_level("INFO"):
        train_detector(engine, bench.job("run", resume=True))
    assert _stamps(bench.folder / "run") == before
    assert "this run is finished" in caplog.text


def test_resume_without_a_checkpoint_is_refused(engine: Engine, bench: Bench) -> None:
    with pytest.raises(UserError, match=r"holds no checkpoint to continue; leave --resume out"):
        train_detector(engine, bench.job("run", resume=True))


def test_auto_resume_starts_from_the_weights_and_goes_on_from_the_checkpoint(
    engine: Engine, bench: Bench
) -> None:
    train_detector(engine, bench.job("earlier", "DATASETS.TEST", "[]"))
    weights = bench.folder / "earlier" / "model_final.pth"
    words = ("MODEL.WEIGHTS", weights, "DATASETS.TEST", "[]")
    train_detector(engine, bench.job("whole", *words, resume="auto"))
    bench.cut("whole", "model_0000002.pth", "cut")
    train_detector(engine, bench.job("cut", *words, resume="auto"))
    one, other = (_final_weights(bench.folder / name) for name in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert "Resuming from" in (bench.folder / "cut" / "log.txt").read_text()


def test_a_second_start_in_the_same_folder_is_refused(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run"))
    with pytest.raises(UserError, match=r"already holds a run .* add --resume to continue it"):
        train_detector(engine, bench.job("run"))


def test_resume_with_another_model_is_refused(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run", "DATASETS.TEST", "[]"))
    job = bench.job("run", "MODEL.FPN.OUT_CHANNELS", 8, "SOLVER.MAX_ITER", 9, resume=True)
    with pytest.raises(UserError, match=r"MODEL\.FPN.OUT_CHANNELS is 8, but .* trained with 16"):
        train_detector(engine, job)


def test_longer_schedule_goes_on_from_the_final_checkpoint(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run"))
    train_detector(engine, bench.job("run", "SOLVER.MAX_ITER", 8, resume=True))
    content = torch.load(bench.folder / "run" / "model_final.pth", weights_only=True)
    assert content["iteration"] == 7
    assert json.loads((bench.folder / "run" / "result.json").read_text())["start_iteration"] == 6


def test_evaluating_the_checkpoint_gives_the_runs_own_metrics(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run"))
    evaluate_detector(engine, bench.job("run", resume=True))
    trained = json.loads((bench.folder / "run" / "result.json").read_text())
    again = json.loads((bench.folder / "run" / "inference" / "result.json").read_text())
    assert again["metrics"] == trained["metrics"]


def test_detector_that_finds_nothing_scores_zero(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 1.0))
    result = json.loads((bench.folder / "run" / "result.json").read_text())
    overall = {name: result["metrics"][name] for name in ("AP", "AP50", "AP75", "APs")}
    assert overall == dict.fromkeys(overall, 0.0)
    assert result["metrics"]["APl"] is None
    assert set(result["metrics"]) == {*overall, "APm", "APl", "AP-red", "AP-green"}
    found = bench.folder / "run" / "inference" / "coco_instances_results.json"
    assert json.loads(found.read_text()) == []


def test_evaluating_a_backbone_alone_is_refused(engine: Engine, bench: Bench) -> None:
    model = engine.build_model(bench.job("x").loaded.cfg)
    prefix = "backbone.bottom_up."
    state = {k.removeprefix(prefix): v for k, v in model.state_dict().items() if prefix in k}
    path = bench.folder / "backbone.pth"
    path.parent.mkdir()
    torch.save({"model": state}, path)
    with pytest.raises(UserError, match=r"backbone\.pth: cannot be evaluated, 30 tensors"):
        evaluate_detector(engine, bench.job("run", "MODEL.WEIGHTS", path))


def test_evaluating_without_weights_is_refused(engine: Engine, bench: Bench) -> None:
    with pytest.raises(UserError, match=r"--eval-only: MODEL.WEIGHTS is empty"):
        evaluate_detector(engine, bench.job("run"))


def test_evaluating_on_other_classes_is_refused(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run", "DATASETS.TEST", "[]"))
    annotations = bench.entry.json_file
    assert annotations is not None
    annotations.write_text(annotations.read_text().replace('"red"', '"blue"'))
    with pytest.raises(UserError, match=r"trained on the classes red, green .*has blue"):
        evaluate_detector(engine, bench.job("run", resume=True))


def test_number_of_classes_that_contradicts_the_file_is_refused(
    engine: Engine, bench: Bench
) -> None:
    job = bench.job("run", "MODEL.ROI_HEADS.NUM_CLASSES", 5)
    with pytest.raises(UserError, match=r"NUM_CLASSES is 5, but .*shapes\.json has 2 categories"):
        train_detector(engine, job)


def test_a_broken_image_is_named_where_none_is_put_up_with(engine: Engine, bench: Bench) -> None:
    (bench.entry.image_root / "3.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"3\.png: "):
        train_detector(engine, bench.job("run", "DATASETS.MAX_BROKEN_IMAGES", 0))


def test_image_of_another_size_is_named(engine: Engine, bench: Bench) -> None:
    annotations = bench.entry.json_file
    assert annotations is not None
    annotations.write_text(annotations.read_text().replace('"height": 64', '"height": 65'))
    with pytest.raises(UserError, match=r"\.png: "):
        train_detector(engine, bench.job("run"))


def test_seed_left_open_is_drawn_and_kept_on_resume(
    engine: Engine, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(BatchPlan, "batches", _interrupted_at(4))
        with pytest.raises(KeyboardInterrupt):
            train_detector(engine, bench.job("run", "SEED", -1))
    drawn = torch.load(bench.folder / "run" / "model_0000002.pth", weights_only=True)["seed"]
    train_detector(engine, bench.job("run", "SEED", -1, resume=True))
    assert drawn >= 0
    assert json.loads((bench.folder / "run" / "result.json").read_text())["seed"] == drawn


def _interrupted_at(iteration: int) -> Any:
    """Returns `BatchPlan.batches` that ends as Ctrl-C does when that iteration comes."""
    batches = BatchPlan.batches

    def interrupted(self: BatchPlan, *args: Any) -> Iterator[list[SampleKey]]:
        for keys in batches(self, *args):
            if keys[0].iteration == iteration:
                raise KeyboardInterrupt
            yield keys

    return interrupted


def _final_weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "model_final.pth", weights_only=True)["model"]


def _stamps(folder: Path) -> dict[str, int]:
    return {
        str(path): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name != "log.txt"
    }


def test_evaluating_without_the_files_norms_is_refused(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run", "DATASETS.TEST", "[]"))
    checkpoint = bench.folder / "run" / "model_final.pth"
    job = bench.job("again", "MODEL.WEIGHTS", checkpoint, "MODEL.RESNETS.NORM", '""')
    with pytest.raises(UserError, match=r"has norm BN in its backbone, the model has none: set"):
        evaluate_detector(engine, job)


def test_misspelt_part_is_refused_with_its_name(engine: Engine, bench: Bench) -> None:
    job = bench.job("run", "MODEL.ROI_BOX_HEAD.NAME", "FastRCNNConvFCHed")
    with pytest.raises(UserError, match="FastRCNNConvFCHed"):
        train_detector(engine, job)


def test_a_runs_own_config_evaluates_it(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run"))
    folder = bench.folder / "run"
    loaded = load_config(
        str(folder / "config.yaml"), ["MODEL.WEIGHTS", str(folder / "model_final.pth")]
    )
    evaluate_detector(engine, replace(bench.job("again"), loaded=loaded))
    trained, evaluated = (
        json.loads((folder / name).read_text())["metrics"]
        for name in ("result.json", "inference/result.json")
    )
    assert trained == evaluated
