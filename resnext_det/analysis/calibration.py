"""Whether a score is the chance to be right. Engine-neutral."""

from dataclasses import dataclass

import numpy as np

from resnext_det.analysis.scored_boxes import ScoredBoxes

_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Scores beside the share of right detections, in ten equal ranges of the score.

    Attributes:
        edges: (11,) float64, of the ranges; 1 belongs to the last.
        counts: (10,) int64, detections in each.
        scores: (10,) float64, their mean score, percent; NaN without a detection.
        right: (10,) float64, how many of them are right, percent; NaN without a detection.
        error: mean over the detections of |score - right| of their range (expected calibration
            error; Guo et al., ICML 2017, equation 3), percent points; NaN without a detection.
    """

    edges: np.ndarray
    counts: np.ndarray
    scores: np.ndarray
    right: np.ndarray
    error: float


def calibrate(boxes: ScoredBoxes, own: np.ndarray | None = None) -> Calibration:
    """Compares the scores of the detections that count.

    Args:
        boxes: of the results.
        own: (R,) bool, those that are looked at; all by default.
    """
    from hotcoco.metrics import calibration_curve, calibration_error

    counted = ~boxes.ignored if own is None else own & ~boxes.ignored
    scores, found = boxes.scores[counted], boxes.found[counted]
    bins = calibration_curve(scores, found, _BINS)
    counts = np.array([part["count"] for part in bins], np.int64)
    means = [[part[key] for part in bins] for key in ("avg_confidence", "avg_accuracy")]
    confidence, accuracy = np.where(counts > 0, 100 * np.array(means, np.float64), np.nan)
    error = 100 * calibration_error(scores, found, _BINS)[0] if len(scores) else float("nan")
    return Calibration(np.linspace(0, 1, _BINS + 1), counts, confidence, accuracy, error)
