"""Pooling by weighted sums of pixels gives torchvision's RoIAlign, forwards and backwards."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import roi_align

from resnext_det.acceleration.pooling import FastRoIPooler, pool_boxes
from resnext_det.engines.portable.pooling import RoIPooler

HEIGHT, WIDTH = 13, 17  # of a map whose cells are 8 pixels
KINDS = ("inside", "border", "outside", "tiny", "thin", "larger than the image", "turned")


def regions_of(kind: str, generator: torch.Generator, number: int = 40) -> Tensor:
    """Draws (R, 5) regions in two images of 136 x 104 pixels."""
    limits = torch.tensor([WIDTH * 8.0, HEIGHT * 8.0])
    first, second = (torch.rand(number, 2, generator=generator) * limits for _ in range(2))
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    if kind == "border":
        low, high = (low - 40).clamp(min=-1), torch.minimum(high + 40, limits + 1)
    elif kind == "outside":
        low, high = low + limits * 1.1, high + limits * 1.1
        low[::2], high[::2] = low[::2] - limits * 2.3, high[::2] - limits * 2.3
    elif kind == "tiny":
        high = low + torch.rand(number, 2, generator=generator) * 0.5
        high[::4] = low[::4]  # without area
    elif kind == "thin":
        high[:, 0] = low[:, 0] + 0.3
    elif kind == "larger than the image":
        low, high = low - limits * 2, high + limits * 3
    elif kind == "turned":
        low, high = high, low
    images = torch.randint(0, 2, (number, 1), generator=generator)
    return torch.cat([images.float(), low, high], dim=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_bins_and_gradients_are_torchvisions(kind: str, sampling_ratio: int) -> None:
    generator = torch.Generator().manual_seed(KINDS.index(kind))
    regions = regions_of(kind, generator)
    feature = torch.randn(2, 5, HEIGHT, WIDTH, generator=generator)
    upstream = torch.randn(len(regions), 5, 7, 7, generator=generator)
    results = []
    for ours in (True, False):
        leaf = feature.clone().contiguous(memory_format=torch.channels_last).requires_grad_()
        if ours:
            pooled = pool_boxes(
                leaf, regions, 7, spatial_scale=0.125, sampling_ratio=sampling_ratio
            )
        else:
            pooled = roi_align(leaf, regions, 7, 0.125, sampling_ratio, aligned=True)
        pooled.backward(upstream)
        results.append((pooled.detach(), leaf.grad))
    (pooled, grad), (expected, expected_grad) = results
    torch.testing.assert_close(pooled, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(grad, expected_grad, rtol=1e-5, atol=1e-4)


def test_no_box_gives_no_bin() -> None:
    feature = torch.randn(2, 5, HEIGHT, WIDTH, requires_grad=True)
    pooled = pool_boxes(feature, torch.zeros(0, 5), 7, spatial_scale=0.125)
    assert pooled.shape == (0, 5, 7, 7)
    pooled.sum().backward()
    assert feature.grad is not None


@pytest.mark.parametrize("strides", [(4, 8, 16, 32), (16,)], ids=["pyramid", "one map"])
def test_each_box_reads_its_level(strides: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    pooler = RoIPooler(5, strides)
    features = [torch.randn(2, 6, 512 // s, 640 // s, generator=generator) for s in strides]
    first, second = (torch.rand(60, 2, generator=generator) * 500 for _ in range(2))
    corners = torch.cat([torch.minimum(first, second), torch.maximum(first, second)], dim=1)
    boxes = [corners[:25], corners[25:]]
    expected = pooler(features, boxes)
    pooled = FastRoIPooler.of(pooler)(features, boxes)
    torch.testing.assert_close(pooled, expected, rtol=1e-5, atol=1e-5)
    assert FastRoIPooler.of(pooler)(features, [corners[:0], corners[:0]]).shape == (0, 6, 5, 5)


def test_bfloat16_keeps_the_places_of_points() -> None:
    generator = torch.Generator().manual_seed(0)
    feature = torch.randn(1, 8, 200, 300, generator=generator)
    # Where bfloat16 steps by 8 pixels.
    regions = torch.tensor([[0.0, 1101.0, 610.0, 1163.0, 655.0]])
    expected = pool_boxes(feature, regions, 7, spatial_scale=0.25)
    pooled = pool_boxes(feature.bfloat16(), regions, 7, spatial_scale=0.25)
    assert pooled.dtype == torch.bfloat16
    torch.testing.assert_close(pooled.float(), expected, rtol=0.0, atol=0.03)
