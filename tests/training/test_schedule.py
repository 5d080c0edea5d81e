"""The learning rate by its formulas. Engine-neutral."""

import math

import pytest

from resnext_det.errors import UserError
from resnext_det.training.optimizer import build_optimizer
from resnext_det.training.schedule import build_lr_schedule


def test_steps_with_linear_warmup(cfg):
    cfg.SOLVER.WARMUP_FACTOR = 0.1
    schedule = build_lr_schedule(cfg)
    ramp = [0.1 * (0.1 + 0.9 * i / 3) for i in range(3)]
    flat = [0.1] * 3 + [0.01] * 2 + [0.001] * 2  # up to 6, up to 8, up to 10
    assert [schedule.lr_at(i) for i in range(10)] == pytest.approx([*ramp, *flat])


def test_constant_warmup(cfg):
    cfg.SOLVER.update({"WARMUP_METHOD": "constant", "WARMUP_FACTOR": 0.5})
    assert [build_lr_schedule(cfg).lr_at(i) for i in (0, 2, 3)] == pytest.approx([0.05, 0.05, 0.1])


def test_cosine(cfg):
    cfg.SOLVER.update({"LR_SCHEDULER_NAME": "WarmupCosineLR", "WARMUP_ITERS": 0})
    cfg.SOLVER.BASE_LR_END = 0.02
    schedule = build_lr_schedule(cfg)
    expected = [0.02 + 0.08 * (1 + math.cos(math.pi * i / 10)) / 2 for i in range(10)]
    assert [schedule.lr_at(i) for i in range(10)] == pytest.approx(expected)


def test_groups_keep_their_ratio(cfg, tiny_net):
    cfg.SOLVER.update({"BIAS_LR_FACTOR": 2.0, "WARMUP_ITERS": 0})
    optimizer = build_optimizer(cfg, tiny_net)
    build_lr_schedule(cfg).apply(optimizer, 6)
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.01, 0.02, 0.01, 0.02])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"LR_SCHEDULER_NAME": "StepLR"}, "LR_SCHEDULER_NAME is 'StepLR'"),
        ({"WARMUP_METHOD": "sine"}, "WARMUP_METHOD is 'sine'"),
        ({"STEPS": [8, 6]}, "steps must ascend"),
        ({"STEPS": [10]}, "steps must ascend"),
        ({"MAX_ITER": 0}, "MAX_ITER is 0"),
        ({"LR_SCHEDULER_NAME": "WarmupCosineLR", "BASE_LR_END": 1.0}, "BASE_LR_END is 1.0"),
    ],
)
def test_bad_schedules_name_their_key(cfg, changes, message):
    cfg.SOLVER.update(changes)
    with pytest.raises(UserError, match=message):
        build_lr_schedule(cfg)


def test_steps_beyond_the_end_are_ignored(cfg):
    cfg.SOLVER.update({"STEPS": [6, 50], "WARMUP_ITERS": 0})
    assert build_lr_schedule(cfg).lr_at(9) == pytest.approx(0.01)
