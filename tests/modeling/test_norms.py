"""Frozen BatchNorm and the choice of norms."""

import pytest
import torch
from torch import nn

from resnext_det.errors import UserError
from resnext_det.modeling.norms import FrozenBatchNorm2d, build_norm, freeze_batch_norm


def random_norm(layer: nn.Module) -> nn.Module:
    for name in ("weight", "bias", "running_mean"):
        nn.init.normal_(getattr(layer, name))
    nn.init.uniform_(layer.running_var, 0.5, 2.0)
    return layer


def test_an_unloaded_layer_is_the_identity():
    x = torch.randn(2, 5, 3, 3)
    torch.testing.assert_close(FrozenBatchNorm2d(5)(x), x, rtol=1e-6, atol=0)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_output_is_the_formula(requires_grad):
    layer = random_norm(FrozenBatchNorm2d(5)).train()
    x = torch.randn(2, 5, 3, 3, requires_grad=requires_grad)
    w, b, m, v = (t.double().reshape(1, -1, 1, 1) for t in layer.state_dict().values())
    expected = (x.double() - m) / (v + 1e-5).sqrt() * w + b
    torch.testing.assert_close(layer(x).double(), expected, rtol=1e-5, atol=1e-5)


def test_variances_near_zero_stay_finite():
    """Public ResNeXt-101-32x8d weights have them (torchvision issue 2599)."""
    layer = FrozenBatchNorm2d(2)
    layer.running_var.zero_()
    assert layer(torch.randn(1, 2, 3, 3)).isfinite().all()


def test_half_precision_is_kept():
    x = torch.randn(1, 4, 2, 2, dtype=torch.bfloat16, requires_grad=True)
    assert FrozenBatchNorm2d(4)(x).dtype == torch.bfloat16


def test_old_files_without_statistics_load_strictly():
    old = {"weight": torch.full((3,), 2.0), "bias": torch.ones(3)}
    layer = FrozenBatchNorm2d(3)
    layer.load_state_dict(old)
    assert layer.running_mean.tolist() == [0] * 3
    assert layer.running_var.tolist() == [1] * 3
    x = torch.randn(1, 3, 2, 2)
    torch.testing.assert_close(layer(x), 2 * x + 1, rtol=1e-4, atol=1e-4)


def test_newer_files_without_statistics_do_not():
    complete = FrozenBatchNorm2d(3).state_dict()
    del complete["running_var"]
    with pytest.raises(RuntimeError, match="running_var"):
        FrozenBatchNorm2d(3).load_state_dict(complete)


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, nn.SyncBatchNorm])
def test_freezing_copies_all_values(kind):
    layer = random_norm(kind(6)).eval()
    frozen = freeze_batch_norm(nn.Sequential(layer))[0]
    assert isinstance(frozen, FrozenBatchNorm2d)
    assert not list(frozen.parameters())
    x = torch.randn(2, 6, 4, 4)
    torch.testing.assert_close(frozen(x), layer(x), rtol=0, atol=0)
    assert frozen.state_dict().keys() == layer.state_dict().keys()


def test_build_norm():
    kinds = {"BN": nn.BatchNorm2d, "SyncBN": nn.SyncBatchNorm, "FrozenBN": FrozenBatchNorm2d}
    for name, kind in kinds.items():
        assert type(build_norm(name, 64)) is kind
    group_norm = build_norm("GN", 64)
    assert (group_norm.num_groups, group_norm.num_channels) == (32, 64)
    assert build_norm("", 64) is None
    with pytest.raises(UserError, match="norm GN cannot divide 48 channels into 32 groups"):
        build_norm("GN", 48)
