"""The loop: reproducible however it is interrupted, and stopped by a bad loss. Engine-neutral."""

import argparse
import copy
import json

import pytest
import torch

from resnext_det.cli.errors import report_errors
from resnext_det.errors import UserError
from resnext_det.training.checkpoint import Checkpointer, load_checkpoint
from resnext_det.training.hooks import CheckpointHook, EvaluationHook
from resnext_det.training.loop import TrainLoop
from resnext_det.training.optimizer import build_optimizer
from resnext_det.training.passes import Passes
from resnext_det.training.schedule import build_lr_schedule
from resnext_det.training.writers import RunWriter


def squares(model, batch):
    out = model(batch)
    return {"loss_a": out.square().mean(), "loss_b": out.abs().mean()}


def batches(start, stop=10):
    for iteration in range(start, stop):
        generator = torch.Generator().manual_seed(iteration)
        yield torch.rand(2, 3, 8, 8, generator=generator)


def build(cfg, model, losses=squares, writer=None):
    return TrainLoop(
        model=model,
        passes=Passes(losses),
        optimizer=build_optimizer(cfg, model),
        schedule=build_lr_schedule(cfg),
        max_iter=cfg.SOLVER.MAX_ITER,
        seed=cfg.SEED,
        writer=writer,
    )


class Each:
    """A hook that calls a function after each iteration."""

    def __init__(self, function):
        self.after_iteration = function

    def before_training(self):
        pass

    def after_training(self, iteration):
        pass


def save_every(loop, cfg, period):
    return CheckpointHook(Checkpointer(cfg.OUTPUT_DIR), loop, period=period)


def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(cfg, tiny_net):
    other = copy.deepcopy(tiny_net)
    build(cfg, tiny_net).run(batches(0))

    class Stop(Exception):
        pass

    def interrupt(iteration):
        if iteration == 6:
            raise Stop

    loop = build(cfg, other)
    with pytest.raises(Stop):
        loop.run(batches(0), hooks=[save_every(loop, cfg, 5), Each(interrupt)])
    path = Checkpointer(cfg.OUTPUT_DIR).latest()
    assert path is not None
    assert path.name == "model_0000004.pth"
    state = load_checkpoint(path)
    other.load_state_dict(state["model"])
    torch.rand(7)  # whatever was drawn before must not matter
    again = build(cfg, other)
    again.load_state_dict(state)
    again.run(batches(5), 5)
    for mine, theirs in zip(tiny_net.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_files_of_a_run(cfg, tiny_net, tmp_path):
    loop = build(cfg, tiny_net)
    loop.run(batches(0), hooks=[save_every(loop, cfg, 5)])
    names = sorted(p.name for p in (tmp_path / "run").iterdir())
    assert names == ["last_checkpoint", "model_0000004.pth", "model_0000009.pth", "model_final.pth"]
    assert load_checkpoint(tmp_path / "run/model_final.pth")["iteration"] == 9


def test_nothing_left_to_do_needs_no_batch_but_writes_what_is_missing(cfg, tiny_net, tmp_path):
    loop = build(cfg, tiny_net)
    hook = save_every(loop, cfg, 5)
    loop.run(iter(()), start=10, hooks=[hook])
    final = tmp_path / "run/model_final.pth"
    assert load_checkpoint(final)["iteration"] == 9
    before = final.stat().st_mtime_ns
    loop.run(iter(()), start=10, hooks=[hook])
    assert final.stat().st_mtime_ns == before


def test_a_bad_loss_names_iteration_and_terms_and_leaves_the_weights(cfg, tiny_net):
    def losses(model, batch):
        good = squares(model, batch)
        return {**good, "loss_b": good["loss_b"] * float("nan")} if model.bad else good

    tiny_net.bad = False
    seen = {}

    def hook(iteration):
        tiny_net.bad = iteration == 2
        seen.update({k: v.clone() for k, v in tiny_net.state_dict().items()})

    with pytest.raises(FloatingPointError) as error:
        build(cfg, tiny_net, losses).run(batches(0), hooks=[Each(hook)])
    assert str(error.value).startswith("iteration 3: loss_b (nan) not finite, learning rate 0.1")
    for key, value in tiny_net.state_dict().items():
        assert torch.equal(value, seen[key])


def test_a_model_that_diverges_says_when_and_what_to_do(cfg, tiny_net):
    def losses(model, batch):
        raise FloatingPointError("predicted boxes or scores are not finite")

    with pytest.raises(FloatingPointError) as error:
        build(cfg, tiny_net, losses).run(batches(4), start=4)
    assert str(error.value) == (
        "iteration 4: predicted boxes or scores are not finite, learning rate 0.1; "
        "try a lower SOLVER.BASE_LR, or SOLVER.CLIP_GRADIENTS.ENABLED True"
    )


@pytest.mark.parametrize(
    ("period", "line"),
    [
        (1, "Interrupted after 3 iterations; --resume continues from the last checkpoint"),
        (
            9,
            "Interrupted, no checkpoint yet: the 3 iterations are lost; give the same command",
        ),
    ],
    ids=["with a checkpoint", "without one"],
)
def test_an_interrupt_says_once_how_to_go_on(cfg, tiny_net, tmp_path, caplog, capsys, period, line):
    def hook(iteration):
        if iteration == 2:
            raise KeyboardInterrupt

    def verb(_):
        loop = build(cfg, tiny_net)
        saves = CheckpointHook(Checkpointer(tmp_path), loop, period=period)
        loop.run(batches(0), hooks=[saves, Each(hook)])

    assert report_errors(verb, argparse.Namespace()) == 130
    [said] = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert said.removesuffix(" again (--auto-resume fits both)") == line
    assert capsys.readouterr().err == ""


def test_evaluation_comes_at_its_period_and_once_at_the_end(cfg, tiny_net, tmp_path):
    calls = []

    def evaluate(model):
        model.eval()
        assert model is tiny_net
        calls.append((tmp_path / "model_final.pth").is_file())
        return {"top1": 50.0, "bbox/AP": None}

    with RunWriter(tmp_path, 0, 10) as writer:
        loop = build(cfg, tiny_net, writer=writer)
        files = Checkpointer(tmp_path)
        hooks = [
            EvaluationHook(evaluate, loop, files, writer, period=5),
            CheckpointHook(files, loop, period=100),
        ]
        loop.run(batches(0), hooks=hooks)
    assert calls == [False, True]  # the last one when the final model is safe
    assert tiny_net.training
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert lines[0] == {"iteration": 4, "top1": 50.0, "bbox/AP": None}
    keys = {"iteration", "lr", "total_loss", "loss_a", "loss_b", "time", "data_time", "eta_seconds"}
    assert lines[1].keys() == keys
    assert lines[1]["iteration"] == 9
    assert lines[1]["lr"] == build_lr_schedule(cfg).lr_at(9)
    assert lines[2] == {"iteration": 9, "top1": 50.0, "bbox/AP": None}


def test_checkpoints_of_other_runs_are_refused(cfg, tiny_net):
    loop = build(cfg, tiny_net)
    with pytest.raises(UserError, match="has no optimizer state"):
        loop.load_state_dict({"model": {}, "trainer": {}}, "model_final.pth")
    state = build(cfg, torch.nn.Linear(2, 2)).state_dict()
    with pytest.raises(UserError, match="trained other parameters"):
        loop.load_state_dict(state, "model_final.pth")
