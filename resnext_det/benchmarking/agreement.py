"""Whether a faster detector still finds the same boxes. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnext_det.export.comparison import pair
from resnext_det.structures import Detections

MIN_AGREEMENT = 0.95
"""Near enough: so much of what either finds, weighted by score, the other finds as well. Scores
count because boxes near the threshold come and go with the last bit."""


@dataclass(frozen=True)
class Agreement:
    """What two detectors find in the same images.

    Attributes:
        share: of the scores of all boxes of both, that of boxes which have a partner in the other:
            of the same class, IoU of 0.5 and more. None where neither finds any.
        boxes: found by the first.
        matched: of them, those with a partner.
        pixels: of partners, the median and the largest difference of a coordinate.
        score: of partners, the median and the largest difference of the scores.
    """

    share: float | None
    boxes: int
    matched: int
    pixels: tuple[float, float]
    score: tuple[float, float]

    @property
    def near_enough(self) -> bool:
        """Whether nobody would tell the two apart by their boxes."""
        return self.share is not None and self.share >= MIN_AGREEMENT

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for JSON."""
        return asdict(self) | {"near_enough": self.near_enough}


def agreement(expected: Sequence[Detections], found: Sequence[Detections]) -> Agreement:
    """Compares the boxes of two detectors.

    Args:
        expected: of the exact one, for each image.
        found: of the same images.
    """
    pixels, scores = [torch.zeros(0)], [torch.zeros(0)]
    total = shared = 0.0
    for one, other in zip(map(_plain, expected), map(_plain, found), strict=True):
        rows, columns = pair(one, other)
        total += float(one.scores.sum() + other.scores.sum())
        shared += float(one.scores[rows].sum() + other.scores[columns].sum())
        pixels.append((one.boxes[rows] - other.boxes[columns]).abs().amax(1))
        scores.append((one.scores[rows] - other.scores[columns]).abs())
    distances = torch.cat(pixels)
    return Agreement(
        share=shared / total if total else None,
        boxes=sum(map(len, expected)),
        matched=len(distances),
        pixels=_median_and_largest(distances),
        score=_median_and_largest(torch.cat(scores)),
    )


def maps_difference(expected: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    """Returns how far maps lie apart: the largest of |a - b| / |a| (Euclidean) of all levels.

    Args:
        expected: of the exact backbone, one array for each level.
        found: of the same images.
    """
    differences = [
        float(np.linalg.norm(b - a) / np.linalg.norm(a))
        for a, b in zip(expected, found, strict=True)
    ]
    return float(np.max(differences))  # NaN where one is, which Python's max passes over


def _plain(found: Detections) -> Detections:
    """Autocast leaves half-precision boxes."""
    return Detections(found.boxes.float().cpu(), found.scores.float().cpu(), found.classes.cpu())


def _median_and_largest(values: Tensor) -> tuple[float, float]:
    return (float(values.median()), float(values.max())) if len(values) else (0.0, 0.0)
