"""What was found in each image, and the images in which most is wrong. Engine-neutral."""

from dataclasses import dataclass

import numpy as np

from resnext_det.analysis.errors import KINDS, MISSED, Errors
from resnext_det.analysis.scored_boxes import ScoredBoxes


@dataclass(frozen=True)
class ImageCounts:
    """Each image's counts, of the detections from a score on.

    Attributes:
        threshold: that score.
        right: (I,) int64, true positives.
        wrong: (I,) int64, false positives.
        unfound: (I,) int64, objects that were not found.
        f1: (I,) float64, percent; 100 where there is nothing to find and nothing was found.
        errors: (6, I) int64, the errors of each of `errors.KINDS`; of missed objects all.
    """

    threshold: float
    right: np.ndarray
    wrong: np.ndarray
    unfound: np.ndarray
    f1: np.ndarray
    errors: np.ndarray


@dataclass(frozen=True)
class Place:
    """Something to look at in an image.

    Attributes:
        image: 0 … I-1.
        rows: detections, as `ScoredBoxes` numbers them.
        objects: of the ground truth.
    """

    image: int
    rows: tuple[int, ...]
    objects: tuple[int, ...]


def count_images(boxes: ScoredBoxes, errors: Errors, threshold: float) -> ImageCounts:
    """Counts what is right and wrong in each image.

    Args:
        boxes: of the results.
        errors: of the same.
        threshold: the lowest score that counts.
    """
    number, kept = boxes.truth.num_images, boxes.scores >= threshold

    def count(chosen: np.ndarray) -> np.ndarray:
        return np.bincount(boxes.images[chosen], minlength=number)

    right, wrong = count(boxes.found & kept), count(boxes.wrong & kept)
    objects = np.bincount(boxes.truth.images[boxes.sought], minlength=number)
    below = right + wrong + objects  # 2 TP + FP + FN
    missed = np.bincount(boxes.truth.images[errors.missed], minlength=number)
    kinds = [count((errors.kinds == kind) & kept) for kind in range(MISSED)]
    return ImageCounts(
        threshold=threshold,
        right=right,
        wrong=wrong,
        unfound=objects - right,
        f1=np.where(below > 0, 200 * right / np.maximum(below, 1), 100.0),
        errors=np.stack([*kinds, missed]),
    )


def worst_of_kind(boxes: ScoredBoxes, errors: Errors, kind: int, count: int) -> list[Place]:
    """Returns the images with the errors of a kind that were made with the highest scores.

    Of missed objects, which have no score, those images that have most.

    Args:
        boxes: of the results.
        errors: of the same.
        kind: number of one of KINDS.
        count: how many images at most.
    """
    assert 0 <= kind < len(KINDS)
    if kind == MISSED:
        return _with_most(boxes, np.flatnonzero(errors.missed), count)
    rows = np.flatnonzero(errors.kinds == kind)
    rows = rows[np.argsort(-boxes.scores[rows], kind="stable")]
    _, firsts = np.unique(boxes.images[rows], return_index=True)
    places = []
    for row in rows[np.sort(firsts)][:count].tolist():
        target = int(errors.targets[row])
        objects = (target,) if target >= 0 else ()
        places.append(Place(int(boxes.images[row]), (row,), objects))
    return places


def worst_of_class(
    boxes: ScoredBoxes, number: int, threshold: float, count: int
) -> list[tuple[Place, str]]:
    """Returns the images in which most of a class is wrong or not found, and how much.

    Args:
        boxes: of the results.
        number: of the class.
        threshold: the lowest score that counts.
        count: how many images at most.
    """
    kept = (boxes.scores >= threshold) & (boxes.classes == number)
    found = np.zeros(len(boxes.truth.images), bool)
    found[boxes.objects[kept & boxes.found]] = True
    wrong = np.flatnonzero(kept & boxes.wrong)
    unfound = np.flatnonzero(boxes.sought & (boxes.truth.classes == number) & ~found)
    total = np.bincount(boxes.images[wrong], minlength=boxes.truth.num_images)
    total += np.bincount(boxes.truth.images[unfound], minlength=boxes.truth.num_images)
    worst = []
    for image in np.argsort(-total, kind="stable")[:count].tolist():
        if total[image]:
            rows = wrong[boxes.images[wrong] == image].tolist()
            objects = unfound[boxes.truth.images[unfound] == image].tolist()
            said = f"{len(rows)} wrong, {len(objects)} not found"
            worst.append((Place(image, tuple(rows), tuple(objects)), said))
    return worst


def _with_most(boxes: ScoredBoxes, objects: np.ndarray, count: int) -> list[Place]:
    images = boxes.truth.images[objects]
    number = np.bincount(images, minlength=boxes.truth.num_images)
    order = np.argsort(-number, kind="stable")[:count].tolist()
    return [
        Place(image, (), tuple(objects[images == image].tolist()))
        for image in order
        if number[image]
    ]
