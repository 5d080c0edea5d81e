"""SGD's groups and the clipping of gradients. Engine-neutral."""

import pytest
import torch
from torch import nn

from resnext_det.errors import UserError
from resnext_det.training.optimizer import build_gradient_clipper, build_optimizer


def by_name(model, optimizer):
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[p]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }


def test_norm_and_bias_have_their_own_rates(cfg, tiny_net):
    cfg.SOLVER.update({"WEIGHT_DECAY_NORM": 0.5, "BIAS_LR_FACTOR": 2.0, "WEIGHT_DECAY_BIAS": 0.25})
    rates = by_name(tiny_net, build_optimizer(cfg, tiny_net))
    assert rates["conv.weight"] == (0.1, 0.0001)
    assert rates["norm.weight"] == (0.1, 0.5)
    assert rates["norm.bias"] == rates["conv.bias"] == (0.2, 0.25)
    assert not any(name.startswith("frozen") for name in rates)


def test_each_parameter_appears_once(cfg, tiny_net):
    optimizer = build_optimizer(cfg, tiny_net)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(parameters) == len(set(parameters)) == 6
    assert all(group["initial_lr"] == group["lr"] for group in optimizer.param_groups)


def test_nothing_to_train_is_an_error(cfg):
    with pytest.raises(UserError, match="FREEZE_AT"):
        build_optimizer(cfg, nn.Linear(1, 1).requires_grad_(False))


@pytest.mark.parametrize("clip_type", ["value", "norm"])
def test_clips_each_gradient_by_itself(cfg, clip_type):
    cfg.SOLVER.CLIP_GRADIENTS.update({"ENABLED": True, "CLIP_TYPE": clip_type, "CLIP_VALUE": 1.0})
    model = nn.Linear(2, 1)
    model.weight.grad = torch.tensor([[3.0, 4.0]])
    model.bias.grad = torch.tensor([0.5])
    clip = build_gradient_clipper(cfg, model)
    assert clip is not None
    clip()
    # |(3, 4)| = 5 becomes 1, or both values become 1; 0.5 stays in either case.
    expected = [[1.0, 1.0]] if clip_type == "value" else [[0.6, 0.8]]
    torch.testing.assert_close(model.weight.grad, torch.tensor(expected))
    assert model.bias.grad.item() == 0.5


def test_clipping_is_off_by_default_and_names_an_unknown_type(cfg, tiny_net):
    assert build_gradient_clipper(cfg, tiny_net) is None
    cfg.SOLVER.CLIP_GRADIENTS.update({"ENABLED": True, "CLIP_TYPE": "full_model"})
    with pytest.raises(UserError, match="CLIP_TYPE is 'full_model'"):
        build_gradient_clipper(cfg, tiny_net)


@pytest.mark.parametrize("clip_type", ["value", "norm"])
def test_a_parameter_without_a_gradient_is_not_clipped(cfg, tiny_net, clip_type):
    cfg.SOLVER.CLIP_GRADIENTS.update({"ENABLED": True, "CLIP_TYPE": clip_type, "CLIP_VALUE": 0.01})
    clip = build_gradient_clipper(cfg, tiny_net)
    assert clip is not None
    first, *others = tiny_net.parameters()
    first.grad = torch.ones_like(first)
    clip()
    assert first.grad.abs().max() <= 0.01
    assert all(other.grad is None for other in others)
