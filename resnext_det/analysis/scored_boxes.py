"""Detections beside the objects that they found at IoU 0.50. Engine-neutral.

All further measures are of these matches: an error, a threshold or an image's score means the same
detections everywhere.
"""

from dataclasses import dataclass

import numpy as np

from resnext_det.evaluation.box_arrays import TruthBoxes
from resnext_det.statistics.matches import match_rows

IOU = 0.5
BACKGROUND_IOU = 0.1
"""Below it a detection is on nothing (TIDE's; Bolya et al. 2020, section 2.2)."""


@dataclass(frozen=True)
class ScoredBoxes:
    """The R detections that count (100 per image and class), by image, class and falling score.

    Attributes:
        truth: the annotation file's G objects, I images and K classes.
        rows: (R,) int64, each detection's number in the results file.
        images: (R,) int64, 0 … I-1.
        classes: (R,) int64, 0 … K-1.
        scores: (R,) float64.
        boxes: (R, 4) float64, x, y, w, h in pixels.
        objects: (R,) int64, the object of its class that each found; -1 where none.
        found: (R,) bool, true positives.
        ignored: (R,) bool, matched with a crowd: neither right nor wrong.
        claimed: (G,) bool, the objects that were found.
    """

    truth: TruthBoxes
    rows: np.ndarray
    images: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    objects: np.ndarray
    found: np.ndarray
    ignored: np.ndarray
    claimed: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """(R,) bool, false positives."""
        return ~self.found & ~self.ignored

    @property
    def sought(self) -> np.ndarray:
        """(G,) bool, the objects that count: all but crowds."""
        return ~self.truth.crowd

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.truth.class_names)

    def objects_of_class(self) -> np.ndarray:
        """Returns (K,) int64, how many objects each class has."""
        return np.bincount(self.truth.classes[self.sought], minlength=self.num_classes)


def score_boxes(truth: TruthBoxes, rows: np.ndarray) -> ScoredBoxes:
    """Matches detections with objects by pycocotools' rules.

    Args:
        truth: the annotation file.
        rows: (N, 7) float64 from `box_arrays.read_rows`.
    """
    matching = match_rows(truth, rows, areas=("all",), ious=np.array([IOU]))
    objects = matching.objects[0, 0].astype(np.int64)
    found = matching.found[0, 0]
    claimed = np.zeros(len(truth.images), bool)
    claimed[objects[found]] = True
    return ScoredBoxes(
        truth=truth,
        rows=matching.rows,
        images=matching.images,
        classes=matching.classes,
        scores=matching.scores,
        boxes=rows[matching.rows, 1:5],
        objects=objects,
        found=found,
        ignored=matching.ignored[0, 0],
        claimed=claimed,
    )
