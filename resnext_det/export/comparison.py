"""How far two detectors' boxes in the same images lie apart. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_iou

from resnext_det.export.ties import Ties, TiesOfImage
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
        tied: boxes that are left out of all these, as the two chose between near ties otherwise.
    """

    images: int
    matched: int
    unmatched: int
    box: float
    score: float
    tied: int = 0


def compare(
    expected: Sequence[Detections],
    found: Sequence[Detections],
    *,
    score_thresh: float,
    most: int,
    margin: float,
    ties: Ties | None = None,
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
        ties: tells choices between near ties, which are counted apart; None takes none for one.
    """
    parts = []
    for place, (one, other) in enumerate(zip(expected, found, strict=True)):
        limit = max(_last(one, score_thresh, most), _last(other, score_thresh, most)) + margin
        tied = None if ties is None else ties.at(place, one, other)
        parts.append(_of_image(one, other, limit, tied))
    return Differences(
        images=len(parts),
        matched=sum(part.matched for part in parts),
        unmatched=sum(part.unmatched for part in parts),
        box=max((part.box for part in parts), default=0.0),
        score=max((part.score for part in parts), default=0.0),
        tied=sum(part.tied for part in parts),
    )


def _of_image(
    one: Detections, other: Detections, limit: float, tied: TiesOfImage | None
) -> Differences:
    rows, columns = pair(one, other)
    moved = (one.boxes[rows] - other.boxes[columns]).abs().amax(dim=1)
    rescored = (one.scores[rows] - other.scores[columns]).abs()
    lost, new = _alone(one, rows, limit), _alone(other, columns, limit)
    num_tied = 0
    if tied is not None:
        apart = (moved > tied.ties.box) | (rescored > tied.ties.score)
        if apart.any() or lost.numel() or new.numel():  # candidates cost another run
            apart &= tied.expected[rows] & tied.found[columns]
            moved, rescored = moved[~apart], rescored[~apart]
            num_tied = int(apart.sum() + tied.expected[lost].sum() + tied.found[new].sum())
            lost, new = lost[~tied.expected[lost]], new[~tied.found[new]]
    return Differences(
        images=1,
        matched=len(moved),
        unmatched=len(lost) + len(new),
        box=_largest(moved),
        score=_largest(rescored),
        tied=num_tied,
    )


def pair(one: Detections, other: Detections) -> tuple[Tensor, Tensor]:
    """Pairs boxes of a class that overlap by `MIN_IOU` and more, for the most overlap in all.

    Returns:
        The places of partners in either, (P,) int64 each.
    """
    overlap = box_iou(one.boxes, other.boxes)
    overlap = torch.where(one.classes[:, None] == other.classes, overlap, 0.0)
    rows, columns = map(torch.as_tensor, linear_sum_assignment(-overlap.numpy()))
    kept = overlap[rows, columns] >= MIN_IOU
    return rows[kept], columns[kept]


def _largest(values: Tensor) -> float:
    return float(values.max()) if values.numel() else 0.0


def _last(found: Detections, score_thresh: float, most: int) -> float:
    return float(found.scores.min()) if most <= len(found) else score_thresh


def _alone(found: Detections, paired: Tensor, limit: float) -> Tensor:
    """Returns the places of boxes that have no partner and are scored above the limit."""
    alone = torch.ones(len(found), dtype=torch.bool)
    alone[paired] = False
    return torch.nonzero(alone & (found.scores > limit)).squeeze(1)
