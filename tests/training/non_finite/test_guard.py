"""Updates that are not finite: stopped, skipped, counted, left to the scaler. Engine-neutral."""

import json
import logging
import math
from pathlib import Path

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.training.checkpoint import load_checkpoint
from resnext_det.training.hooks import run_outcome
from resnext_det.training.non_finite import guard
from resnext_det.training.non_finite.step import Step, gradient_norm, largest, saved_buffers
from tests.training.conftest import NormNet
from tests.training.non_finite.conftest import Spoiled, run
from tests.training.runs import Interrupted, assert_equal


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        (Spoiled(loss=(3,)), "loss_b (nan) not finite"),
        (Spoiled(gradient=(3,)), "gradient norm (nan) not finite"),
        (Spoiled(forward=(3,)), "predictions are not finite"),
        (Spoiled(pixel=(3,)), "loss_a (nan), loss_b (nan) not finite"),
        (
            Spoiled(statistics=(3,)),
            "the losses are finite, running statistics are not (norm.running_var)",
        ),
    ],
    ids=["loss", "gradient", "forward", "pixel", "statistics"],
)
def test_a_run_stops_with_one_line_and_the_state_before(cfg, spoiled, reason, tmp_path):
    net, other = NormNet(), NormNet()
    other.load_state_dict(net.state_dict())
    with pytest.raises(Interrupted):
        run(cfg, Spoiled(), net=net, interrupt_after=2)
    cfg.OUTPUT_DIR = str(tmp_path / "stopped")
    with pytest.raises(FloatingPointError) as error:
        run(cfg, spoiled, net=other)
    # Running statistics too: the NaN that the forward pass put into them is out again.
    assert_equal(net.state_dict(), other.state_dict())
    folder = tmp_path / "stopped/non_finite/iter_0000003"
    assert str(error.value) == (
        f"iteration 3: {reason}, learning rate 0.1; kept in {folder}, see `resnext-det reproduce "
        f"{folder}`; "
        + (
            "the batch itself is not finite (0.jpg: 0): mend its data"
            if spoiled.pixel
            else "try SOLVER.BASE_LR 0.02 (usual for 16 images per update; a rule of thumb), or "
            "SOLVER.CLIP_GRADIENTS.ENABLED True"
        )
    )


def test_a_skipped_update_touches_nothing(skipping, caplog):
    caplog.set_level(logging.INFO)
    skipping.SOLVER.EMA.ENABLED, skipping.SOLVER.EMA.DECAY = True, 0.5
    skipping.SOLVER.MAX_ITER, skipping.SOLVER.CHECKPOINT_PERIOD = 4, 1
    loop, hooks = run(skipping, Spoiled(loss=(2,), pixel=(2,)))
    one, other = (load_checkpoint(f"{skipping.OUTPUT_DIR}/model_{n:07d}.pth") for n in (1, 2))
    rates = [f"/optimizer/param_groups/{n}/lr" for n in range(3)]  # the schedule's
    for name in ("model", "training_model", "optimizer", "ema"):
        assert_equal({name: one[name]}, {name: other[name]}, but=rates)
    assert other["non_finite"] == {
        "skipped": 1, "iterations": [2], "in_a_row": 1, "overflows": 0
    }  # fmt: skip
    assert (
        load_checkpoint(f"{skipping.OUTPUT_DIR}/model_0000003.pth")["non_finite"]["in_a_row"] == 0
    )
    assert run_outcome(loop, hooks)["non_finite"] == {"skipped": 1, "iterations": [2]}
    assert "Update skipped (1 so far): iteration 2: loss_a (nan)" in caplog.text
    lines = Path(skipping.OUTPUT_DIR, "metrics.json").read_text().splitlines()
    assert math.isfinite(json.loads(lines[-1])["total_loss"])


@pytest.mark.parametrize("passes", [1, 2])
def test_a_resumed_run_is_the_uninterrupted_one_skips_included(skipping, passes, tmp_path):
    skipping.SOLVER.update({"CHECKPOINT_PERIOD": 3, "GRADIENT_ACCUMULATION": passes})
    skipping.SOLVER.IMS_PER_BATCH = 4
    skipping.SOLVER.EMA.ENABLED = True
    bad = {"loss": (1, 6), "forward": (4,), "gradient": (5,), "pixel": (9,)}
    run(skipping, Spoiled(**bad))
    whole = load_checkpoint(f"{skipping.OUTPUT_DIR}/model_final.pth")
    assert whole["non_finite"]["iterations"] == [1, 4, 5, 6, 9]
    skipping.OUTPUT_DIR = str(tmp_path / "cut")
    with pytest.raises(Interrupted):
        run(skipping, Spoiled(**bad), interrupt_after=6)
    run(skipping, Spoiled(**bad), resume=True)
    assert_equal(whole, load_checkpoint(f"{skipping.OUTPUT_DIR}/model_final.pth"))
    # The second start went on from iteration 6, whose update is not its first skipped one.
    kept = sorted(path.name for path in Path(skipping.OUTPUT_DIR, "non_finite").iterdir())
    assert kept == ["iter_0000001"]


def test_statistics_that_overflow_alone_are_put_back(skipping, caplog):
    net = NormNet()
    weight = net.conv.weight.detach().clone()

    def losses(model, batch):
        with (
            torch.no_grad()
        ):  # the variance of numbers as large has no float32, the norm's output has
            model.conv.weight.copy_(weight * (1e25 if spoiled.calls == 2 else 1))
        return spoiled(model, batch)

    spoiled = Spoiled()
    skipping.SOLVER.MAX_ITER = 4
    loop, hooks = run(skipping, spoiled, net=net, losses=losses)
    assert all(buffer.isfinite().all() for buffer in net.buffers())
    assert run_outcome(loop, hooks)["non_finite"] == {"skipped": 1, "iterations": [2]}
    assert "iteration 2: the losses are finite, running statistics are not (norm.running_" in (
        caplog.text
    )
    saved = load_checkpoint(f"{skipping.OUTPUT_DIR}/model_final.pth")["model"]
    assert all(value.isfinite().all() for value in saved.values())
    assert "1 of 4 update(s) were skipped as not finite; " in caplog.text


def test_statistics_that_are_not_finite_are_not_saved(cfg):
    net = NormNet()
    loop, _ = run(cfg, Spoiled(), net=net)
    net.norm.running_mean[0] = math.nan
    with pytest.raises(FloatingPointError) as error:
        loop.guard.check_weights(9)
    assert "iteration 9: after the update 1 running statistic(s) not finite, norm.running_mean" in (
        str(error.value)
    )


def test_too_many_in_a_row_end_the_run_all_the_same(skipping):
    skipping.SOLVER.MAX_ITER = 30
    bad = tuple(range(2, 30))
    with pytest.raises(FloatingPointError) as error:
        run(skipping, Spoiled(loss=bad))
    assert "iteration 12: loss_b (nan) not finite, after 10 skipped updates in a row" in str(
        error.value
    )
    kept = sorted(path.name for path in Path(skipping.OUTPUT_DIR, "non_finite").iterdir())
    assert kept == ["iter_0000002", "iter_0000012"]  # the first skip's and the end's


def test_the_count_in_a_row_begins_anew_after_a_good_update(skipping):
    skipping.SOLVER.MAX_ITER = 16
    loop, _ = run(skipping, Spoiled(loss=tuple(n for n in range(16) if n != 8)))
    assert loop.guard.summary()["skipped"] == 15


def test_weights_that_an_update_spoils_are_noticed_and_not_saved(cfg):
    net = NormNet()
    # It is finite, and so is its norm; times the rate it is not.
    net.fc.bias.register_hook(lambda gradient: torch.full_like(gradient, 1e18))
    cfg.SOLVER.update({"BASE_LR": 1e30, "WARMUP_ITERS": 0, "CHECKPOINT_PERIOD": 1})
    with pytest.raises(FloatingPointError) as error:
        run(cfg, Spoiled(), net=net)
    assert "iteration 0: after the update 1 parameter(s) not finite, fc.bias" in str(error.value)
    assert not list(Path(cfg.OUTPUT_DIR).glob("*.pth"))


def test_the_next_loss_shows_weights_that_are_not_finite(cfg):
    net = NormNet()
    with torch.no_grad():
        net.fc.weight[0, 0] = math.nan
    with pytest.raises(FloatingPointError) as error:
        run(cfg, Spoiled(), net=net)
    assert str(error.value).startswith("iteration 0: loss_a (nan), loss_b (nan) not finite")
    assert "fc.weight was not finite before it, by an earlier update: try SOLVER.BASE_LR" in str(
        error.value
    )


def scaler(scale):
    return torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)


def test_an_overflow_is_left_to_the_scaler(cfg):
    mine = scaler(2.0**16)
    loop, hooks = run(cfg, Spoiled(gradient=(2, 3, 7)), scaler=mine)
    assert run_outcome(loop, hooks)["non_finite"]["skipped"] == 0
    assert mine.get_scale() == 2.0**13  # halved three times
    assert all(p.isfinite().all() for p in loop.model.parameters())
    assert not Path(cfg.OUTPUT_DIR, "non_finite").exists()


def test_an_overflow_at_the_lowest_scale_is_trouble(cfg):
    with pytest.raises(FloatingPointError) as error:
        run(cfg, Spoiled(gradient=(0, 1, 2)), scaler=scaler(4.0))
    # 4 -> 2 -> 1, and at 1 it is not the scaler's doing
    assert str(error.value).startswith(
        "iteration 2: gradient norm (nan) not finite, float16's scale 1 after 3 overflow(s), "
    )


def test_overflows_without_end_are_trouble(skipping, monkeypatch):
    monkeypatch.setattr(guard, "MOST_OVERFLOWS", 3)
    loop, _ = run(skipping, Spoiled(gradient=(0, 1, 2, 3, 5)), scaler=scaler(2.0**16))
    assert loop.guard.summary() == {"skipped": 1, "iterations": [3]}
    assert loop._passes.scaler.get_scale() == 2.0**12  # four halvings: the skipped one has none


def test_a_damaged_count_is_refused(cfg, tiny_net):
    loop, _ = run(cfg, Spoiled())
    for state in ({}, {**loop.guard.state_dict(), "iterations": ["x"]}):
        with pytest.raises(UserError, match="count of skipped updates, its entry non_finite"):
            loop.guard.load_state_dict(state)


def test_the_norm_of_all_gradients():
    one, other, none = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    assert float(gradient_norm([none])) == 0.0
    one.grad, other.grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])
    assert float(gradient_norm([one, none, other])) == 5.0  # 3-4-5
    other.grad = torch.tensor([math.inf, math.nan])
    assert not math.isfinite(float(gradient_norm([one, other])))


def test_the_largest_number_of_buffers():
    assert float(largest([])) == 0.0
    # Squared, they would overflow.
    assert float(largest([torch.tensor([1.0, -3e38]), torch.zeros(0)])) == pytest.approx(3e38)
    assert not math.isfinite(float(largest([torch.ones(2), torch.tensor([math.nan, 1.0])])))
    net = NormNet()
    net.register_buffer("mask", torch.full((2,), -math.inf), persistent=False)
    assert list(saved_buffers(net)) == ["norm.running_mean", "norm.running_var"]


def test_a_step_names_its_losses_before_the_gradient():
    step = Step({"loss_a": math.inf, "loss_b": 1.0}, math.nan)
    assert (step.is_finite, step.is_overflow) == (False, False)
    assert step.reason() == "loss_a (inf) not finite"
    assert step.bad_terms == ("loss_a", "gradient norm")
    alone = Step({"loss_a": 1.0}, math.inf)
    assert (alone.is_overflow, alone.reason()) == (True, "gradient norm (inf) not finite")
    assert Step(error="broken").terms == {}
    assert Step({"loss_a": 1.0}, 2.0).scalars() == {"total_loss": 1.0, "loss_a": 1.0}
