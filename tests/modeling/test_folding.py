"""Frozen norms folded into weights while training: the same maps and gradients."""

import copy

import pytest
import torch
from torch import nn

from resnext_det.modeling.conv import Conv2d, DeformConv2d, fold_frozen_norms
from resnext_det.modeling.norms import FrozenBatchNorm2d
from resnext_det.modeling.resnet import ResNet


def random_statistics(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d):
            for name, buffer in module.named_buffers():
                drawn = torch.rand(buffer.shape, generator=generator)
                buffer.copy_(drawn + 0.5 if name in ("weight", "running_var") else drawn - 0.5)
    return model


def both(plain: nn.Module) -> tuple[nn.Module, nn.Module]:
    folded = copy.deepcopy(plain)
    fold_frozen_norms(folded)
    return plain, folded


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", [Conv2d, DeformConv2d], ids=["conv", "deformable"])
def test_one_layer(kind, bias):
    torch.manual_seed(0)
    layer = kind(4, 8, 3, groups=2, stride=2, bias=bias, norm=FrozenBatchNorm2d(8))
    plain, folded = both(random_statistics(layer.double()))
    x = torch.randn(2, 4, 9, 7, dtype=torch.float64)
    # scale * (conv(x) + b) + shift, from the layer's own formula
    scale = layer.norm.weight / (layer.norm.running_var + layer.norm.eps).sqrt()
    kwargs = {"stride": 2, "padding": 1, "groups": 2}
    raw = nn.functional.conv2d(x, layer.weight, layer.bias, **kwargs)
    rows = [v.reshape(1, -1, 1, 1) for v in (layer.norm.running_mean, scale, layer.norm.bias)]
    torch.testing.assert_close(folded.train()(x), (raw - rows[0]) * rows[1] + rows[2])
    weight = torch.randn(folded(x).shape, dtype=torch.float64)
    for model in (plain, folded):
        (model.train()(x) * weight).sum().backward()
    for mine, theirs in zip(folded.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.parametrize("norm", ["FrozenBN", "BN", "GN", ""])
def test_a_network_of_any_norm(norm):
    torch.manual_seed(0)
    sizes = {"stem_out_channels": 32, "res2_out_channels": 32}
    network = ResNet(depth=26, num_groups=32, width_per_group=1, norm=norm, **sizes, freeze_at=2)
    plain, folded = both(random_statistics(network))
    assert list(folded.state_dict()) == list(plain.state_dict())
    x = torch.randn(2, 3, 64, 64)
    for name, value in plain.train()(x).items():
        torch.testing.assert_close(folded.train()(x)[name], value, rtol=1e-4, atol=1e-4)


def test_evaluation_is_as_it_was_to_the_bit():
    torch.manual_seed(0)
    layer = Conv2d(4, 8, 3, norm=FrozenBatchNorm2d(8))
    plain, folded = both(random_statistics(layer).eval())
    x = torch.randn(1, 4, 6, 6)
    assert torch.equal(plain(x), folded(x))


def test_what_is_kept_of_a_norm_follows_its_buffers():
    """In place, replaced, cast, copied; and nothing of inference mode is kept."""
    layer = random_statistics(FrozenBatchNorm2d(3))

    def expected(norm):
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        return scale, norm.bias - norm.running_mean * scale

    def check(norm):
        for _ in range(2):
            torch.testing.assert_close(norm.scale_and_shift(), expected(norm))

    with torch.inference_mode():
        check(layer)
    x = torch.ones(1, 3, 1, 1, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad.flatten(), expected(layer)[0])
    copied = copy.deepcopy(layer)
    layer.running_mean.add_(1)
    check(layer)
    layer.bias = torch.tensor([1.0, 2, 3])
    check(layer)
    check(copied)
    assert not torch.equal(copied.scale_and_shift()[1], layer.scale_and_shift()[1])
    layer.load_state_dict(copied.state_dict())
    check(layer)
    torch.testing.assert_close(layer.scale_and_shift(), copied.scale_and_shift())
    check(layer.double())
    assert layer.scale_and_shift()[0].dtype == torch.float64
    assert list(layer.state_dict()) == list(copied.state_dict())
