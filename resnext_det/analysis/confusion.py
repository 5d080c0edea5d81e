"""Which class was taken for which, with background for nothing. Engine-neutral.

Here the classes do not matter for a match: by falling score, each detection takes the object of its
image that it overlaps most, IoU 0.50 or more, and that no other has.
"""

from dataclasses import dataclass

import numpy as np

from resnext_det.analysis.scored_boxes import IOU, ScoredBoxes
from resnext_det.statistics.greedy_matching import match, overlapping_pairs, ranks_within


@dataclass(frozen=True)
class Confusion:
    """Objects by their class and by what was found on them.

    Attributes:
        threshold: the lowest score that was looked at.
        matrix: (K + 1, K + 1) int64; rows are true classes, columns those found. The last row has
            detections on nothing, the last column objects without a detection.
        rows: (D,) int64, the detections that were looked at, as `ScoredBoxes` numbers them.
        objects: (D,) int64, the object each was matched with, of any class; -1 for none.
    """

    threshold: float
    matrix: np.ndarray
    rows: np.ndarray
    objects: np.ndarray


def confuse(boxes: ScoredBoxes, threshold: float) -> Confusion:
    """Matches across classes.

    Detections that COCO ignores, those on a crowd of their class, are left out, and so are crowds.

    Args:
        boxes: of the results.
        threshold: the lowest score that counts.
    """
    truth, number = boxes.truth, boxes.num_classes
    rows = np.flatnonzero((boxes.scores >= threshold) & ~boxes.ignored)
    rows = rows[np.lexsort((-boxes.scores[rows], boxes.images[rows]))]
    sought = np.flatnonzero(boxes.sought)
    sought = sought[np.argsort(truth.classes[sought], kind="stable")]  # of equal IoUs the last
    nothing = np.zeros(len(sought), bool)
    images = boxes.images[rows]
    pairs = overlapping_pairs(
        boxes.boxes[rows], images, truth.boxes[sought], truth.images[sought], nothing, at_least=IOU
    )
    found = match(pairs, ranks_within(images), nothing[None], nothing, np.array([IOU]))[0, 0]
    objects = np.full(len(rows), -1)
    objects[found >= 0] = sought[found[found >= 0]]
    matrix = np.zeros((number + 1, number + 1), np.int64)
    true = np.full(len(rows), number)
    true[objects >= 0] = truth.classes[objects[objects >= 0]]
    np.add.at(matrix, (true, boxes.classes[rows]), 1)
    alone = np.setdiff1d(sought, objects)
    matrix[:number, number] = np.bincount(truth.classes[alone], minlength=number)
    return Confusion(threshold, matrix, rows, objects)
