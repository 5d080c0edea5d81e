"""A folded convolution computes what the convolution and its norm compute."""

import pytest
import torch
from torch import Tensor, nn

from resnext_det.acceleration.fused_conv import FusedConv, can_fold
from resnext_det.modeling.conv import Conv2d, DeformConv2d
from resnext_det.modeling.norms import FrozenBatchNorm2d, build_norm

LAYOUTS = pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"]
)


def conv_with(norm: str, **options: int) -> Conv2d:
    layer = Conv2d(8, 12, norm=build_norm(norm, 12, gn_groups=4), **options)  # pyright: ignore[reportArgumentType]
    if isinstance(layer.norm, FrozenBatchNorm2d | nn.BatchNorm2d | nn.SyncBatchNorm):
        for name in ("weight", "bias", "running_mean", "running_var"):
            with torch.no_grad():
                getattr(layer.norm, name).uniform_(0.5, 2.0)
    return layer.eval()


@pytest.mark.parametrize("in_one", [True, False], ids=["in one", "in steps"])
@pytest.mark.parametrize("norm", ["BN", "FrozenBN", "SyncBN", ""])
@LAYOUTS
@torch.no_grad()
def test_is_convolution_norm_sum_and_relu(norm: str, in_one: bool, layout: torch.memory_format):
    torch.manual_seed(0)
    layer = conv_with(norm, kernel_size=3, stride=2, groups=4)
    x = torch.randn(2, 8, 9, 11).contiguous(memory_format=layout)
    plain = _in_evaluation(layer, x)
    residual = torch.randn_like(plain)
    kept = residual.clone()
    for relu in (False, True):
        fused = FusedConv.of(layer, relu=relu, in_one=in_one)
        for extra in (None, residual):
            expected = plain if extra is None else plain + extra
            expected = expected.relu() if relu else expected
            torch.testing.assert_close(fused(x, extra), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(residual, kept)


def _in_evaluation(layer: Conv2d, x: Tensor) -> Tensor:
    if not isinstance(layer.norm, nn.SyncBatchNorm):
        return layer(x)
    plain = nn.BatchNorm2d(12).eval()  # SyncBatchNorm takes tensors of GPUs alone
    plain.load_state_dict(layer.norm.state_dict())
    return plain(nn.Conv2d.forward(layer, x))


@LAYOUTS
@torch.no_grad()
def test_bfloat16_is_rounded_once(layout: torch.memory_format):
    torch.manual_seed(0)
    layer = conv_with("BN", kernel_size=1)
    x = torch.randn(1, 8, 6, 7).contiguous(memory_format=layout)
    fused = FusedConv.of(layer, relu=True).to(torch.bfloat16)
    residual = torch.randn(1, 12, 6, 7)
    found = fused(x.bfloat16(), residual.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), (layer(x) + residual).relu(), rtol=0.02, atol=0.1)


def test_what_cannot_be_folded_is_told():
    assert not can_fold(conv_with("GN", kernel_size=3))
    assert not can_fold(DeformConv2d(8, 12, 3))
    assert not can_fold(nn.Linear(3, 4))
    batch = Conv2d(8, 12, 3, norm=nn.BatchNorm2d(12, track_running_stats=False))
    assert not can_fold(batch)
    assert can_fold(nn.Conv2d(3, 4, 1))
