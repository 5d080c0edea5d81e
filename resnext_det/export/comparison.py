"""How far two detectors' boxes in the same images lie apart. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_iou

from resnext_det.structures import Detections

MIN_IOU = 0.5
"""Of two boxes that are taken for the same one."""


@dataclass(frozen=True)
class Differences:
    """What was found in the images by both, and how far it lies apart.

    Attributes:
        images: their number.
        matched: boxes of one that have a partner in the other.
        unmatched: boxes of either that have none, though their score is clear of the limit.
        box: the largest difference of a coordinate, pixels.
        score: the largest difference of two scores.
    """

    images: int
    matched: int
    unmatched: int
    box: float
    score: float


def compare(
    expected: Sequence[Detections],
    found: Sequence[Detections],
    *,
    score_thresh: float,
    most: int,
    margin: float,
) -> Differences:
    """Pairs boxes by class and overlap, whatever their places, and measures the pairs.

    A box without a partner counts unless its score is within the margin of what decides whether
    it is given at all: the threshold, or the last score where as many are given as may be.

    Args:
        expected: of each image.
        found: of the same images.
        score_thresh: boxes are given above it.
        most: boxes given of an image at most, >= 1.
        margin: difference of scores that is none.
    """
    pairs = [_pair(one, other) for one, other in zip(expected, found, strict=True)]
    matched, unmatched, box, score = 0, 0, 0.0, 0.0
    for one, other, (rows, columns) in zip(expected, found, pairs, strict=True):
        matched += len(rows)
        box = max(box, _largest(one.boxes[rows] - other.boxes[columns]))
        score = max(score, _largest(one.scores[rows] - other.scores[columns]))
        limit = max(_last(one, score_thresh, most), _last(other, score_thresh, most)) + margin
        unmatched += _alone(one, rows, limit) + _alone(other, columns, limit)
    return Differences(len(pairs), matched, unmatched, box, score)


def _pair(one: Detections, other: Detections) -> tuple[Tensor, Tensor]:
    """Returns the places of partners in either, (P,) int64 each: the most overlap in all."""
    overlap = box_iou(one.boxes, other.boxes)
    overlap = torch.where(one.classes[:, None] == other.classes, overlap, 0.0)
    rows, columns = map(torch.as_tensor, linear_sum_assignment(-overlap.numpy()))
    kept = overlap[rows, columns] >= MIN_IOU
    return rows[kept], columns[kept]


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0


def _last(found: Detections, score_thresh: float, most: int) -> float:
    return float(found.scores.min()) if most <= len(found) else score_thresh


def _alone(found: Detections, paired: Tensor, limit: float) -> int:
    alone = torch.ones(len(found), dtype=torch.bool)
    alone[paired] = False
    return int((alone & (found.scores > limit)).sum())
