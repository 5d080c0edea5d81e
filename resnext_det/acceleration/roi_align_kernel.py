"""RoIAlign on a GPU that reads channels-last maps as they lie, by a Triton kernel. Portable.

torchvision's operator reads channel by channel, in one type for boxes and features: a pyramid in
bfloat16 is first copied into another layout and into float32. Here a program computes one row of a
region's bins for all channels: a pixel is one contiguous vector, and sums are float32.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from resnext_det.training.device import as_current

_MOST_CHANNELS = 256
"""Channels that a program computes."""


def pool_levels(
    features: Sequence[Tensor],
    regions: Tensor,
    levels: Tensor,
    num_bins: int,
    *,
    strides: Sequence[int],
    sampling_ratio: int = 0,
) -> Tensor:
    """Computes `torchvision.ops.roi_align(…, aligned=True)` of each region in its own level.

    Args:
        features: per level (N, C, H, W), of one type; copied where not channels-last.
        regions: (R, 5) float32: index of the image, x0, y0, x1, y1 in pixels of the image.
        levels: (R,) integers, which map each is cut out of; one that is none gives 0.
        num_bins: P, rows and columns of the result.
        strides: pixels of the image per cell, per level.
        sampling_ratio: points per bin and axis, 0 for as many as the bin has cells.

    Returns:
        (R, C, P, P), channels-last, of the maps' type.
    """
    channels = features[0].shape[1]
    pooled = features[0].new_zeros(len(regions), num_bins, num_bins, channels)
    if not len(regions):
        return pooled.permute(0, 3, 1, 2)
    block = min(triton.next_power_of_2(channels), _MOST_CHANNELS)
    grid = (len(regions), num_bins, triton.cdiv(channels, block))
    kernel: Any = _pool_level[grid]
    with as_current(pooled.device):
        for level, (feature, stride) in enumerate(zip(features, strides, strict=True)):
            kernel(
                feature.contiguous(memory_format=torch.channels_last),
                regions.contiguous(),
                levels.contiguous(),
                pooled,
                level,
                feature.shape[2],
                feature.shape[3],
                1.0 / stride,
                channels,
                SAMPLING_RATIO=sampling_ratio,
                BINS=num_bins,
                BLOCK=block,
            )
    return pooled.permute(0, 3, 1, 2)  # (R, P, P, C) -> (R, C, P, P)


@triton.jit
def _pool_level(
    feature,  # (N, H, W, C)
    regions,  # (R, 5)
    levels,  # (R,)
    pooled,  # (R, P, P, C)
    level,
    height,
    width,
    scale,
    channels,
    SAMPLING_RATIO: tl.constexpr,
    BINS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    region = tl.program_id(0).to(tl.int64)
    row = tl.program_id(1)
    if tl.load(levels + region) != level:
        return
    channel = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    exists = channel < channels
    box = regions + region * 5
    image = feature + tl.load(box).to(tl.int64) * height * width * channels + channel
    left = tl.load(box + 1) * scale - 0.5
    top = tl.load(box + 2) * scale - 0.5
    # Rounded as torchvision rounds: a quotient just above 3 has 4 points.
    bin_width = tl.div_rn(tl.load(box + 3) * scale - 0.5 - left, BINS * 1.0)
    bin_height = tl.div_rn(tl.load(box + 4) * scale - 0.5 - top, BINS * 1.0)
    if SAMPLING_RATIO > 0:
        points_down = SAMPLING_RATIO
        points_across = SAMPLING_RATIO
    else:
        points_down = tl.ceil(bin_height).to(tl.int32)
        points_across = tl.ceil(bin_width).to(tl.int32)
    share = 1.0 / tl.maximum(points_down * points_across, 1)
    out = pooled + (region * BINS + row) * BINS * channels + channel
    for column in range(BINS):
        total = tl.zeros((BLOCK,), tl.float32)
        for i in range(points_down):
            y = top + row * bin_height + (i + 0.5) * bin_height / points_down
            inside_y = (y >= -1.0) & (y <= height)
            y = tl.minimum(tl.maximum(y, 0.0), height - 1.0)
            y0 = y.to(tl.int64)
            lower = y - y0
            above = image + y0 * width * channels
            below = image + tl.minimum(y0 + 1, height - 1) * width * channels
            for j in range(points_across):
                x = left + column * bin_width + (j + 0.5) * bin_width / points_across
                inside = inside_y & (x >= -1.0) & (x <= width)
                x = tl.minimum(tl.maximum(x, 0.0), width - 1.0)
                x0 = x.to(tl.int32)
                right = x - x0
                near = x0 * channels
                far = tl.minimum(x0 + 1, width - 1) * channels
                upper_row = (1 - right) * tl.load(above + near, exists, 0.0).to(tl.float32)
                upper_row += right * tl.load(above + far, exists, 0.0).to(tl.float32)
                lower_row = (1 - right) * tl.load(below + near, exists, 0.0).to(tl.float32)
                lower_row += right * tl.load(below + far, exists, 0.0).to(tl.float32)
                mixed = (1 - lower) * upper_row + lower * lower_row
                total += tl.where(inside, mixed, 0.0)
        tl.store(out + column * channels, (total * share).to(pooled.dtype.element_ty), exists)
