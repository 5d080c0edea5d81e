"""Precision, recall and F1 over the score from which detections are kept. Engine-neutral."""

from dataclasses import dataclass

import numpy as np

from resnext_det.analysis.scored_boxes import ScoredBoxes

GRID = np.linspace(0, 1, 101)
"""Scores at which curves are drawn."""


@dataclass(frozen=True)
class Kept:
    """What is right among the detections from a score on; of one class, or of all together.

    Attributes:
        threshold: the lowest score that is kept.
        precision: percent of the kept that are right; NaN where nothing is kept.
        recall: percent of the objects that are found.
        f1: 2 TP / (2 TP + FP + FN), percent.
    """

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ScoreCurves:
    """The same at each score of GRID.

    Attributes:
        precision: (101,) float64, percent; NaN where nothing is kept.
        recall: (101,) float64, percent.
        f1: (101,) float64, percent.
        best: at the score with the largest F1, of equal ones the highest; None where no detection
            is right.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    best: Kept | None

    def at(self, threshold: float) -> Kept:
        """Returns the point of the grid next to a threshold."""
        place = int(np.abs(GRID - threshold).argmin())
        return Kept(
            float(GRID[place]),
            float(self.precision[place]),
            float(self.recall[place]),
            float(self.f1[place]),
        )


def curves_of_all(boxes: ScoredBoxes) -> ScoreCurves | None:
    """Returns the curves of all classes together, with one threshold for all; see `curves_of`."""
    return _curves(boxes, np.ones(len(boxes.rows), bool), int(boxes.sought.sum()))


def curves_of_class(boxes: ScoredBoxes, number: int) -> ScoreCurves | None:
    """Returns a class's curves; None for a class without objects."""
    objects = boxes.sought & (boxes.truth.classes == number)
    return _curves(boxes, boxes.classes == number, int(objects.sum()))


def _curves(boxes: ScoredBoxes, own: np.ndarray, num_objects: int) -> ScoreCurves | None:
    if not num_objects:
        return None
    counted = own & ~boxes.ignored
    order = np.argsort(-boxes.scores[counted], kind="stable")
    scores = boxes.scores[counted][order]
    right = np.concatenate([[0], np.cumsum(boxes.found[counted][order])])  # of the first 0 … R
    kept = np.searchsorted(-scores, -GRID, side="right")
    return ScoreCurves(
        *_measures(right[kept], kept, num_objects), best=_best(scores, right, num_objects)
    )


def _best(scores: np.ndarray, right: np.ndarray, num_objects: int) -> Kept | None:
    if not len(scores):
        return None
    # A threshold keeps all of an equal score, or none.
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    precision, recall, f1 = _measures(right[last + 1], last + 1, num_objects)
    place = int(f1.argmax())  # the first, that is the highest score, of equal ones
    if not f1[place]:
        return None
    return Kept(
        float(scores[last[place]]), float(precision[place]), float(recall[place]), float(f1[place])
    )


def _measures(
    right: np.ndarray, kept: np.ndarray, num_objects: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns precision, recall and F1 in percent."""
    precision = np.where(kept > 0, right / np.maximum(kept, 1), np.nan)
    f1 = 2 * right / (kept + num_objects)  # kept is TP + FP, num_objects is TP + FN
    return 100 * precision, 100 * right / num_objects, 100 * f1
