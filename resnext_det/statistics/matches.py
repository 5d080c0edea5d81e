"""Which detection found which object, for every class, size and IoU. Engine-neutral.

Matching looks at one image at a time, so it is done once; however often an image is drawn later,
its matches are the same. The rules are pycocotools' (COCOeval.evaluateImg).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resnext_det.evaluation.box_arrays import TruthBoxes
from resnext_det.statistics.greedy_matching import match, overlapping_pairs, ranks_within

AREAS = ("all", "small", "medium", "large")
IOUS = np.linspace(0.5, 0.95, 10)
NUM_IOUS = len(IOUS)
MOST = 100
"""Detections of an image and class that count, the best scored."""

_LIMITS = np.array([[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]])  # of AREAS, both within


@dataclass(frozen=True)
class Matching:
    """The detections that count, by image, class and falling score, and what each found.

    Attributes:
        rows: (R,) int64, each detection's number in the file.
        images: (R,) int64, 0 … I-1.
        classes: (R,) int64, 0 … K-1.
        scores: (R,) float64.
        objects: (A, T, R) int32, the object that each was matched with; -1 without one.
        found: (A, T, R) bool, whether that is an object that counts.
        ignored: (A, T, R) bool, whether the detection counts for nothing: matched with a crowd or
            with an object of another size, or unmatched and of another size.
        counted: (A, G) bool, the objects that count.
    """

    rows: np.ndarray
    images: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    objects: np.ndarray
    found: np.ndarray
    ignored: np.ndarray
    counted: np.ndarray


@dataclass(frozen=True)
class ClassMatches:
    """One class's detections, best first; equal scores in the order of their images.

    Attributes:
        images: (R,) int64, the dense id of each detection's image.
        scores: (R,) float64, falling.
        found: (4 areas, 10 IoUs, R) bool, whether it was matched with an object that counts.
        ignored: (4 areas, 10 IoUs, R) bool, whether it counts for nothing: matched with a crowd or
            with an object of another size, or unmatched and of another size.
        num_objects: (4 areas, I) int64, the objects of each image that count.
    """

    images: np.ndarray
    scores: np.ndarray
    found: np.ndarray
    ignored: np.ndarray
    num_objects: np.ndarray


def match_rows(
    truth: TruthBoxes,
    rows: np.ndarray,
    *,
    areas: Sequence[str] = AREAS,
    ious: np.ndarray = IOUS,
) -> Matching:
    """Matches detections with objects as pycocotools does, at most 100 per image and class.

    Args:
        truth: the annotation file.
        rows: (N, 7) float64 from `box_arrays.read_rows`.
        areas: the A sizes that are told apart, of AREAS.
        ious: (T,) float64, the lowest IoUs of a match.
    """
    number = len(truth.class_names)
    groups = rows[:, 0].astype(np.int64) * number + rows[:, 6].astype(np.int64)
    order = np.lexsort((-rows[:, 5], groups))  # stable: equal scores as they stand in the file
    order = order[ranks_within(groups[order]) < MOST]
    groups, chosen = groups[order], rows[order]
    limits = _LIMITS[[AREAS.index(area) for area in areas]][:, :, None]
    outside = (truth.areas < limits[:, 0]) | (truth.areas > limits[:, 1])  # (A, G)
    left_out = outside | truth.crowd
    pairs = overlapping_pairs(
        chosen[:, 1:5],
        groups,
        truth.boxes,
        truth.images * number + truth.classes,
        truth.crowd,
        at_least=float(min(ious.min(), 1 - 1e-10)),
    )
    objects = match(pairs, ranks_within(groups), left_out, truth.crowd, ious)
    sizes = chosen[:, 3] * chosen[:, 4]
    other_size = (sizes < limits[:, 0]) | (sizes > limits[:, 1])  # (A, R)
    hit = objects >= 0
    on_left_out = np.zeros_like(hit)
    for way in range(len(areas) if len(truth.images) else 0):
        on_left_out[way] = hit[way] & left_out[way][objects[way]]
    return Matching(
        rows=order,
        images=chosen[:, 0].astype(np.int64),
        classes=chosen[:, 6].astype(np.int64),
        scores=chosen[:, 5],
        objects=objects,
        found=hit & ~on_left_out,
        ignored=on_left_out | (~hit & other_size[:, None, :]),
        counted=~left_out,
    )


def match_detections(truth: TruthBoxes, rows: np.ndarray) -> tuple[ClassMatches, ...]:
    """Returns one entry for each class, in the order of the dense ids; see `match_rows`."""
    return by_class(truth, match_rows(truth, rows))


def by_class(truth: TruthBoxes, matching: Matching) -> tuple[ClassMatches, ...]:
    """Returns the matches of each class by itself."""
    number = len(truth.class_names)
    order = np.lexsort((-matching.scores, matching.classes))  # stable: equal scores by image
    bounds = np.searchsorted(matching.classes[order], np.arange(number + 1))
    found, ignored = matching.found[:, :, order], matching.ignored[:, :, order]
    images, scores = matching.images[order], matching.scores[order]
    parts = []
    for class_number, (first, last) in enumerate(itertools.pairwise(bounds.tolist())):
        part = slice(first, last)
        parts.append(
            ClassMatches(
                images=images[part],
                scores=scores[part],
                found=found[:, :, part],
                ignored=ignored[:, :, part],
                num_objects=_num_objects(truth, matching, class_number),
            )
        )
    return tuple(parts)


def _num_objects(truth: TruthBoxes, matching: Matching, class_number: int) -> np.ndarray:
    """Returns (A, I) int64."""
    own = truth.classes == class_number
    images = truth.images[own]
    return np.stack(
        [
            np.bincount(images[counted[own]], minlength=truth.num_images)
            for counted in matching.counted
        ]
    )
