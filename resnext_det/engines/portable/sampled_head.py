"""The RPN head computed where anchors were sampled, and nowhere else. Portable.

The losses see 256 anchors of an image, out of hundreds of thousands, so that the gradient of the
head's convolutions is zero almost everywhere. Computed from the neighbourhoods of the sampled cells
alone, losses and gradients are the same but for rounding, for a small part of the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class SampledAnchors:
    """What the head predicts for S sampled anchors, level by level.

    Attributes:
        positions: (S,) int64, each one's index in the labels of all images, flattened.
        logits: (S,).
        deltas: (S, 4).
    """

    positions: Tensor
    logits: Tensor
    deltas: Tensor


def predict_sampled(
    conv: nn.Conv2d,
    objectness_logits: nn.Conv2d,
    anchor_deltas: nn.Conv2d,
    features: Sequence[Tensor],
    sampled: Tensor,
) -> SampledAnchors:
    """Computes a head of one 3x3 conv, ReLU and two 1x1 convs for the sampled anchors alone.

    Args:
        conv: 3x3, padding 1.
        objectness_logits: 1x1, A channels.
        anchor_deltas: 1x1, A * 4 channels.
        features: per level (N, C, H, W).
        sampled: (N, R) bool over the anchors of all levels, in the order of `AnchorGenerator`.
    """
    num_anchors = objectness_logits.out_channels
    patches, kinds, positions = [], [], []
    start, total = 0, sampled.shape[1]
    for feature in features:
        height, width = feature.shape[-2:]
        end = start + height * width * num_anchors
        image, anchor = torch.nonzero(sampled[:, start:end], as_tuple=True)
        cell = torch.div(anchor, num_anchors, rounding_mode="floor")
        patches.append(_neighbourhoods(feature, image, cell))
        kinds.append(anchor % num_anchors)
        positions.append(image * total + start + anchor)
        start = end
    hidden = F.relu(_as_linear(conv, torch.cat(patches)))  # (S, C)
    kind = torch.cat(kinds)
    row = torch.arange(len(kind), device=kind.device)
    logits = _as_linear(objectness_logits, hidden)  # (S, A)
    deltas = _as_linear(anchor_deltas, hidden).unflatten(1, (-1, 4))  # (S, A, 4)
    return SampledAnchors(torch.cat(positions), logits[row, kind], deltas[row, kind])


def _neighbourhoods(feature: Tensor, image: Tensor, cell: Tensor) -> Tensor:
    """Gathers the 3x3 cells around some, zeros beyond the border.

    Args:
        feature: (N, C, H, W).
        image: (S,) index in the batch.
        cell: (S,) row * W + column.

    Returns:
        (S, 9 * C): row by row, and of each cell all channels.
    """
    height, width = feature.shape[-2:]
    steps = torch.arange(-1, 2, device=cell.device)
    rows = torch.div(cell, width, rounding_mode="floor")[:, None, None] + steps[:, None]
    columns = (cell % width)[:, None, None] + steps  # (S, 1, 3); rows: (S, 3, 1)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)  # (S, 3, 3)
    cells = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    index = (image[:, None, None] * height * width + cells).flatten()
    # (N, C, H, W) -> (N * H * W, C): no copy where the map is channels_last
    pixels = feature.permute(0, 2, 3, 1).flatten(0, 2)
    found = pixels.index_select(0, index) * inside.reshape(-1, 1).to(feature.dtype)
    return found.reshape(len(cell), 9 * feature.shape[1])


def _as_linear(conv: nn.Conv2d, patches: Tensor) -> Tensor:
    """Applies a convolution to what lies under its kernel: (S, k * k * C) to (S, out)."""
    # (out, C, k, k) -> (out, k, k, C). A view, which autocast does not keep: the copies that it
    # keeps of whole parameters may come from where no gradients were taken.
    weight = conv.weight.permute(0, 2, 3, 1).flatten(1)
    return F.linear(patches, weight, conv.bias)
