"""Boxes that two runs of one detector choose otherwise, as rounding decides. Engine-neutral."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torchvision.ops import box_iou

from resnext_det.structures import Detections

_IOU_ROUNDING = 1e-3


@dataclass(frozen=True)
class Candidates:
    """What a detector would give of an image if less were suppressed.

    Attributes:
        boxes: of its proposals, without a suppression of boxes.
        more: with that of proposals left out, too.
    """

    boxes: Detections
    more: Detections


@dataclass(frozen=True)
class Ties:
    """Tells a choice between what is as good as each other from a difference.

    Suppression keeps the better of two overlapping boxes or proposals. Where both score alike,
    the last bit decides, and the box that comes out lies pixels beside the other. Of such a box
    either detector has computed the same, and only one has given it.

    Attributes:
        box: difference of a coordinate that is none, pixels.
        score: difference of scores that is none.
        nms_thresh: overlap above which the lower-scored box goes.
        candidates: of the expected detector, by the place of an image.
    """

    box: float
    score: float
    nms_thresh: float
    candidates: Callable[[int], Candidates]

    def at(self, place: int, expected: Detections, found: Detections) -> "TiesOfImage":
        """Returns those of an image."""
        return TiesOfImage(self, place, expected, found)


class TiesOfImage:
    """Which boxes of an image may be absent from what the other detector finds.

    Such a box is overlapped by one of the other's that is scored as high, and so suppresses it
    there; or that comes of another proposal. What is found has to be among the candidates.
    """

    def __init__(self, ties: Ties, place: int, expected: Detections, found: Detections) -> None:
        self.ties, self._place = ties, place
        self._expected, self._found = expected, found

    @cached_property
    def _candidates(self) -> Candidates:
        return self.ties.candidates(self._place)

    @cached_property
    def _known(self) -> Tensor:
        return self._among(self._candidates.more)

    @cached_property
    def _rivals(self) -> Tensor:
        """(R, S) bool: an expected and a found box of which a detector gives one only."""
        overlap = box_iou(self._expected.boxes, self._found.boxes)
        same = self._expected.classes[:, None] == self._found.classes
        near = same & (overlap >= self.ties.nms_thresh - _IOU_ROUNDING)
        return near & self._known

    @cached_property
    def _of_other_proposals(self) -> Tensor:
        return ~self._among(self._candidates.boxes)

    @cached_property
    def expected(self) -> Tensor:
        """(R,) bool: expected boxes that may be absent."""
        higher = self._found.scores >= self._expected.scores[:, None] - self.ties.score
        return (self._rivals & (higher | self._of_other_proposals)).any(dim=1)

    @cached_property
    def found(self) -> Tensor:
        """(S,) bool: found boxes that may be absent from the expected ones."""
        higher = self._expected.scores[:, None] >= self._found.scores - self.ties.score
        return (self._rivals & (higher | self._of_other_proposals)).any(dim=0)

    def _among(self, candidates: Detections) -> Tensor:
        """(S,) bool: found boxes that are among the candidates."""
        there = []
        for box, score, label in zip(
            self._found.boxes, self._found.scores, self._found.classes, strict=True
        ):
            near = (candidates.boxes - box).abs().amax(dim=1) <= self.ties.box
            alike = (candidates.scores - score).abs() <= self.ties.score
            there.append(bool((near & alike & (candidates.classes == label)).any()))
        return torch.tensor(there, dtype=torch.bool)
