"""The best overlaps of a crowded image, without the pairs that lie apart. Portable."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_ROWS = 128
"""Boxes whose overlaps are taken together."""
_MOST_PAIRS = 1 << 20
"""Overlaps that are held at once: they fit a cache."""


@dataclass(frozen=True)
class BestOverlaps:
    """What a matcher needs to know of M boxes and R candidates.

    Attributes:
        values: (R,) each candidate's best overlap.
        rows: (R,) int64, the first box that it is with; 0 where it has none.
        is_best: (R,) bool, whether no candidate has a larger overlap with some box, or an equal
            one: all where some box has no overlap.
    """

    values: Tensor
    rows: Tensor
    is_best: Tensor


def best_overlaps(boxes: Tensor, candidates: Tensor) -> BestOverlaps:
    """Returns what the (M, R) overlaps tell, of which only those are computed that may not be 0.

    Time grows with the number of pairs whose neighbourhoods touch: linearly with the boxes of an
    image where each overlaps so many others, and with M * R only where all lie on one another.

    Args:
        boxes: (M, 4) xyxy, finite, M > 0.
        candidates: (R, 4) xyxy.
    """
    values = candidates.new_zeros(len(candidates))
    rows = torch.zeros(len(candidates), dtype=torch.int64, device=candidates.device)
    is_best = torch.zeros(len(candidates), dtype=torch.bool, device=candidates.device)
    for near in neighbourhoods(boxes):
        columns = _touching(boxes[near], candidates)
        if not len(columns):
            is_best[:] = True
            continue
        others = candidates[columns].T.contiguous()
        for some in near.split(max(1, _MOST_PAIRS // len(columns))):
            iou = overlaps(boxes[some], others)
            best, found = iou.max(dim=0)
            first, so_far = some[found], values[columns]
            better = (best > so_far) | ((best == so_far) & (first < rows[columns]))
            values[columns[better]] = best[better]
            rows[columns[better]] = first[better]
            of_row = iou.amax(dim=1, keepdim=True)
            is_best[columns[(iou == of_row).any(dim=0)]] = True
            if bool((of_row == 0).any()):  # as it has with every candidate
                is_best[:] = True
    return BestOverlaps(values, rows, is_best)


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of every pair, as `pairwise_iou` to the bit, in half the time.

    Args:
        boxes: (m, 4) xyxy.
        others: (4, r) xyxy, a contiguous row for each coordinate.

    Returns:
        (m, r) in 0 … 1.
    """
    x1, y1, x2, y2 = boxes.T[:, :, None]  # (m, 1) each
    left, top, right, bottom = others  # (r,) each
    width = torch.minimum(x2, right).sub_(torch.maximum(x1, left)).clamp_(min=0)
    height = torch.minimum(y2, bottom).sub_(torch.maximum(y1, top)).clamp_(min=0)
    both = width.mul_(height)
    either = ((x2 - x1) * (y2 - y1) + (right - left) * (bottom - top)).sub_(both)
    return both.div_(either).nan_to_num_(nan=0.0)  # where neither has an area


def neighbourhoods(boxes: Tensor) -> Iterator[Tensor]:
    """Yields the boxes in groups that lie close together, those of one size at a time.

    Each size is cut in strips and these in groups of 128, as "STR: A Simple and Efficient
    Algorithm for R-Tree Packing" (Leutenegger, Lopez and Edgington, 1997) does.

    Args:
        boxes: (M, 4) xyxy, finite.

    Yields:
        int64 places of boxes, ascending; each box is in one group.
    """
    longer = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1).clamp(min=1)
    sizes = longer.log2().floor()
    for size in sizes.unique():
        members = torch.nonzero(sizes == size).squeeze(1)
        number = max(1, round(math.sqrt(len(members) / _ROWS)))
        for strip in members[boxes[members, 0].argsort()].chunk(number):
            for group in strip[boxes[strip, 1].argsort()].split(_ROWS):
                yield group.sort().values


def _touching(boxes: Tensor, candidates: Tensor) -> Tensor:
    """Returns the places of the candidates that overlap what encloses the boxes."""
    starts, ends = boxes[:, :2].amin(dim=0), boxes[:, 2:].amax(dim=0)
    overlap = (candidates[:, :2] < ends) & (candidates[:, 2:] > starts)
    return torch.nonzero(overlap.all(dim=1)).squeeze(1)
