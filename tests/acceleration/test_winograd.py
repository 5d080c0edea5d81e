"""Winograd's filtering computes the convolution that it is made of."""

import pytest
import torch
from torch import nn

from resnext_det.acceleration import winograd
from resnext_det.acceleration.fused_conv import FusedConv
from resnext_det.acceleration.winograd import WinogradConv, is_suited, use_winograd


def fused(channels: int, out_channels: int, *, relu: bool = False, **options: int) -> FusedConv:
    torch.manual_seed(channels)
    conv = nn.Conv2d(channels, out_channels, **{"kernel_size": 3, "padding": 1} | options)
    return FusedConv.of(conv, relu=relu)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("at_once", [1, 7, 1000])
@torch.no_grad()
def test_is_the_convolution(relu: bool, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "MIN_PIXELS", 0)
    monkeypatch.setattr(winograd, "_TILES_AT_ONCE", at_once)
    conv = fused(16, 24, relu=relu)
    x = torch.randn(2, 16, 12, 20).contiguous(memory_format=torch.channels_last)
    exact = nn.functional.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=1)
    expected = (exact.relu() if relu else exact).float()
    found = WinogradConv(conv)(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("size", "min_pixels"), [((10, 12), 0), ((12, 14), 0), ((12, 12), 200)], ids=str
)
@torch.no_grad()
def test_other_maps_are_left_to_the_convolution(
    size: tuple[int, int], min_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "MIN_PIXELS", min_pixels)
    conv = fused(4, 5)
    x = torch.randn(1, 4, *size).contiguous(memory_format=torch.channels_last)
    assert torch.equal(WinogradConv(conv)(x), conv(x))


@torch.no_grad()
def test_a_residual_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "MIN_PIXELS", 0)
    conv = fused(4, 5, relu=True)
    x, residual = (
        torch.randn(1, c, 8, 8).contiguous(memory_format=torch.channels_last) for c in (4, 5)
    )
    assert torch.equal(WinogradConv(conv)(x, residual), conv(x, residual))


def test_suited_convolutions_alone_are_replaced() -> None:
    suited = fused(128, 128)
    others = [
        fused(64, 128),
        fused(128, 128, groups=2),
        fused(128, 128, stride=2),
        fused(128, 128, kernel_size=1, padding=0),
        fused(128, 128, dilation=2, padding=2),
    ]
    assert is_suited(suited)
    assert not any(map(is_suited, others))
    network = nn.Sequential(nn.Sequential(suited), *others)
    use_winograd(network)
    assert isinstance(network[0][0], WinogradConv)
    assert sum(isinstance(module, WinogradConv) for module in network.modules()) == 1
