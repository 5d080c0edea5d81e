"""The images on which two detectors differ most. Engine-neutral."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnext_det.evaluation.box_arrays import TruthBoxes, read_rows, read_truth
from resnext_det.statistics.matches import NUM_IOUS, ClassMatches, match_detections


@dataclass(frozen=True)
class ImageDifference:
    """One image's scores by both detectors.

    Attributes:
        image_id: as the annotation file has it.
        first: the first detector's score, 0 … 100.
        second: the second one's.
    """

    image_id: Hashable
    first: float
    second: float

    @property
    def difference(self) -> float:
        """Second minus first."""
        return self.second - self.first


def largest_differences(
    annotations: Path,
    first: Path,
    second: Path,
    count: int,
    *,
    score_thresh: float = 0.5,
) -> list[ImageDifference]:
    """Finds the images on which two trained detectors differ most, by what would be drawn.

    An image's score is F1 = 2 TP / (2 TP + FP + FN) in percent over all classes together, of the
    detections from `score_thresh` on, as the mean over the ten IoUs 0.50 … 0.95. Matches are
    pycocotools'; a detection on a crowd counts for nothing. Where there is nothing to find and
    nothing was found, the score is 100.

    Args:
        annotations: COCO JSON that both results were made for.
        first: results file of one seed.
        second: results file of the other detector.
        count: how many images at most.
        score_thresh: 0 … 1, the lowest score that is drawn.

    Returns:
        The images by falling absolute difference, equal ones in the order of their ids; those
        without a difference are left out.

    Raises:
        UserError: a file is missing or malformed.
    """
    truth = read_truth(annotations)
    sides = [match_detections(truth, read_rows(path, truth)) for path in (first, second)]
    return differences_between(truth, sides[0], sides[1], count, score_thresh=score_thresh)


def differences_between(
    truth: TruthBoxes,
    first: Sequence[ClassMatches],
    second: Sequence[ClassMatches],
    count: int,
    *,
    score_thresh: float = 0.5,
) -> list[ImageDifference]:
    """Finds the images in which two sets of matches differ most; see `largest_differences`."""
    scores = [image_f1(side, truth.num_images, score_thresh) for side in (first, second)]
    gaps = np.abs(scores[1] - scores[0])
    order = np.argsort(-gaps, kind="stable")[:count]
    ids = truth.image_ids
    return [
        ImageDifference(ids[image], float(scores[0][image]), float(scores[1][image]))
        for image in order.tolist()
        if gaps[image] > 0
    ]


def image_f1(matches: Sequence[ClassMatches], num_images: int, score_thresh: float) -> np.ndarray:
    """Returns (I,) float64, each image's F1 in percent as `largest_differences` defines it."""
    found = np.zeros((NUM_IOUS, num_images))
    drawn = np.zeros((NUM_IOUS, num_images))
    objects = np.zeros(num_images)
    for one_class in matches:
        objects += one_class.num_objects[0]
        shown = one_class.scores >= score_thresh
        for iou in range(NUM_IOUS):
            for total, counted in (
                (found, one_class.found[0, iou]),
                (drawn, ~one_class.ignored[0, iou]),
            ):
                images = one_class.images[counted & shown]
                total[iou] += np.bincount(images, minlength=num_images)
    below = drawn + objects  # TP + FP + TP + FN
    f1 = np.where(below > 0, 2 * found / np.maximum(below, 1), 1.0)
    return 100 * f1.mean(axis=0)
