"""The last selection in tensors whose shapes depend on the number of images alone. Portable.

As `batch_selection` selects, among a fixed number of candidates in each image, so that nothing is
waited for and a GPU's work can be recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from resnext_det.acceleration.batch_selection import Limits, clip_to, usable_scores
from resnext_det.acceleration.fixed_shapes import Predictions
from resnext_det.acceleration.suppression import keep_of_groups
from resnext_det.structures import Detections


@dataclass(frozen=True)
class Selection:
    """What is found in N images, at most K boxes in each.

    Attributes:
        boxes: (N, K, 4) float32, xyxy, pixels of the image on disk; best first.
        scores: (N, K) float32.
        classes: (N, K) int64.
        counts: (N,) int64, how many of the K are detections.
        complete: 0-d bool, whether the candidates sufficed; else all of it is wrong.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    counts: Tensor
    complete: Tensor

    def detections(self, counts: Sequence[int]) -> list[Detections]:
        """Returns those of each image; `counts` is the attribute, read."""
        boxes, scores, classes = self.boxes.clone(), self.scores.clone(), self.classes.clone()
        return [
            Detections(boxes[i, :n], scores[i, :n], classes[i, :n]) for i, n in enumerate(counts)
        ]


def select_among(
    found: Predictions,
    sizes: Tensor,
    whole_sizes: Tensor,
    limits: Limits,
    *,
    candidates: int,
    rounds: int,
) -> Selection:
    """Selects as `batch_selection.select` does, among the best candidates of each image.

    Whether a box is kept depends on better ones alone. So the answer is right where an image has
    no more boxes above the threshold than candidates, or
    `limits.topk` are kept before the last candidate.

    Args:
        found: of N images.
        sizes: (N, 2) float32, rows and columns of each resized image.
        whole_sizes: (N, 2) float32, rows and columns of each image on disk.
        limits: what is selected.
        candidates: boxes and classes of an image that are looked at, best first.
        rounds: see `suppression.kept`.
    """
    topk = limits.topk
    few = _candidates(found, sizes, limits.score_thresh, candidates)
    usable = few.scores > -torch.inf
    keep, settled = keep_of_groups(few.boxes, usable, limits.nms_thresh, rounds, few.classes)
    masked = few.scores.masked_fill(~keep, -torch.inf)
    best, place = masked.sort(dim=1, descending=True, stable=True)
    most = place.shape[1] if topk < 0 else topk
    best, place = best[:, :most], place[:, :most]
    is_kept = best > -torch.inf
    # Which of equal scores are candidates is open. Negative or above their number, topk is never
    # reached.
    reached = best.shape[1] == topk > 0
    filled = best[:, -1] > few.scores[:, -1] if reached else torch.zeros_like(few.all)
    scale = (whole_sizes / sizes).flip(1).repeat(1, 2)[:, None]
    boxes = clip_to(_taken(few.boxes, place) * scale, whole_sizes[:, None])
    is_kept &= (boxes[..., 2:] > boxes[..., :2]).all(dim=-1)
    order = (~is_kept).to(torch.uint8).argsort(dim=1, stable=True)  # detections first
    classes = few.classes.gather(1, place.gather(1, order))
    complete = (few.all | filled).all() & settled
    return Selection(
        _taken(boxes, order), best.gather(1, order), classes, is_kept.sum(dim=1), complete
    )


@dataclass(frozen=True)
class _Candidates:
    """The best M boxes and classes of each image, best first.

    Attributes:
        boxes: (N, M, 4) float32, pixels of the resized image, clipped.
        scores: (N, M), -inf where there are fewer.
        classes: (N, M) int64.
        all: (N,) bool, whether the image has no more.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    all: Tensor


def _candidates(found: Predictions, sizes: Tensor, score_thresh: float, number: int) -> _Candidates:
    scores, wanted = usable_scores(found, score_thresh)
    flat = scores.masked_fill(~wanted, -torch.inf).flatten(1)  # (N, P * K)
    place = flat.topk(min(number, flat.shape[1]), dim=1).indices.sort(dim=1).values
    # Equal scores in the order of regions and classes.
    best, order = flat.gather(1, place).sort(dim=1, descending=True, stable=True)
    place = place.gather(1, order)
    region, category = place // scores.shape[2], place % scores.shape[2]
    column = category if found.boxes.shape[2] > 1 else torch.zeros_like(category)
    boxes = _taken(found.boxes.flatten(1, 2), region * found.boxes.shape[2] + column)
    all_there = wanted.flatten(1).sum(dim=1) <= number
    return _Candidates(clip_to(boxes, sizes[:, None]), best, category, all_there)


def _taken(boxes: Tensor, index: Tensor) -> Tensor:
    """Takes boxes (N, R, 4) at places (N, K): (N, K, 4)."""
    return boxes.gather(1, index[..., None].expand(-1, -1, 4))
