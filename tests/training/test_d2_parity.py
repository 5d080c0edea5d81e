"""Groups, clipping, schedule and checkpoints against Detectron2's own. Detectron2."""

import pytest
import torch

from resnext_det.training.checkpoint import Checkpointer
from resnext_det.training.optimizer import build_gradient_clipper, build_optimizer
from resnext_det.training.schedule import build_lr_schedule

pytestmark = pytest.mark.d2

SOLVERS = {
    "steps": {},
    "no warm-up": {"WARMUP_ITERS": 0},
    "all warm-up": {"WARMUP_ITERS": 50},
    "constant": {"WARMUP_METHOD": "constant"},
    "rescaled": {"RESCALE_INTERVAL": True, "LR_SCHEDULER_NAME": "WarmupCosineLR"},
    "cosine": {"LR_SCHEDULER_NAME": "WarmupCosineLR", "BASE_LR_END": 0.003},
    "gamma": {"LR_SCHEDULER_NAME": "WarmupStepWithFixedGammaLR", "NUM_DECAYS": 2},
    "biases": {"BIAS_LR_FACTOR": 2.0, "WEIGHT_DECAY_BIAS": 0.0, "WEIGHT_DECAY_NORM": 0.01},
    "long": {"MAX_ITER": 90, "STEPS": [60, 80], "WARMUP_ITERS": 10},
}


@pytest.mark.parametrize("name", SOLVERS)
def test_every_groups_rate_at_every_step(cfg, tiny_net, name):
    from detectron2.solver import build_lr_scheduler
    from detectron2.solver import build_optimizer as build_d2_optimizer

    cfg.SOLVER.update(SOLVERS[name])
    theirs = build_d2_optimizer(cfg, tiny_net)
    ours = build_optimizer(cfg, tiny_net)
    assert [g["params"] for g in ours.param_groups] == [g["params"] for g in theirs.param_groups]
    scheduler, schedule = build_lr_scheduler(cfg, theirs), build_lr_schedule(cfg)
    for iteration in range(cfg.SOLVER.MAX_ITER):
        schedule.apply(ours, iteration)
        for mine, other in zip(ours.param_groups, theirs.param_groups, strict=True):
            assert mine["lr"] == other["lr"]
            assert mine["weight_decay"] == other["weight_decay"]
        theirs.step()
        if iteration + 1 < cfg.SOLVER.MAX_ITER:
            scheduler.step()


@pytest.mark.parametrize("clip_type", ["value", "norm"])
def test_updates_are_equal_with_clipping(cfg, tiny_net, clip_type):
    import copy

    from detectron2.solver import build_optimizer as build_d2_optimizer

    cfg.SOLVER.CLIP_GRADIENTS.update({"ENABLED": True, "CLIP_TYPE": clip_type, "CLIP_VALUE": 0.01})
    other_net = copy.deepcopy(tiny_net)
    ours, theirs = build_optimizer(cfg, tiny_net), build_d2_optimizer(cfg, other_net)
    clip = build_gradient_clipper(cfg, tiny_net)
    assert clip is not None
    for step in range(3):
        for net in (tiny_net, other_net):
            net.zero_grad()
            torch.manual_seed(step)
            net(torch.rand(2, 3, 8, 8)).square().sum().backward()
        clip()
        ours.step()
        theirs.step()
    for mine, other in zip(tiny_net.parameters(), other_net.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_detectron2_loads_our_checkpoint(cfg, tiny_net, tmp_path):
    from detectron2.checkpoint import DetectionCheckpointer

    checkpointer = Checkpointer(tmp_path, config=cfg.dump(), class_names=["a"])
    path = checkpointer.save("model_final", model=tiny_net, iteration=9)
    other = type(tiny_net)()
    rest = DetectionCheckpointer(other).load(str(path))
    assert rest["iteration"] == 9
    assert DetectionCheckpointer(other, str(tmp_path)).get_checkpoint_file() == str(path)
    for mine, theirs in zip(tiny_net.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)
