"""COCO AP where each image counts as often as it was drawn. Engine-neutral.

Equal to pycocotools' AP on a data set in which each image stands that many times in a row; at
weights of 1 that is the data set itself. The formulas are pycocotools' (COCOeval.accumulate),
over many weightings at a time. Precision has its maxima at true positives, and recall changes
nowhere else, so only they are kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from resnext_det.statistics.matches import AREAS, NUM_IOUS, ClassMatches

OVERALL = ("AP", "AP50", "AP75", "APs", "APm", "APl")

_RECALLS = np.linspace(0.0, 1.0, 101)
_IOU_50, _IOU_75 = 0, 5

# Weights that are gathered at a time: 8 MB of them stay near the processor.
_BUDGET = 2**21


@dataclass(frozen=True)
class _Curve:
    """What one precision-recall curve is made of, up to its last true positive.

    Attributes:
        columns: (R,) int64, the columns of those detections that count.
        found: (H,) int64, which of them are true positives, rising.
    """

    columns: np.ndarray
    found: np.ndarray


def metric_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Returns what `average_precision` scores: with several classes also each by itself."""
    several = class_names if len(class_names) > 1 else ()
    return (*OVERALL, *(f"AP-{name}" for name in several))


def average_precision(matches: Sequence[ClassMatches], weights: np.ndarray) -> np.ndarray:
    """Scores one set of detections under many weightings of the images.

    Args:
        matches: of the K classes.
        weights: (S, I) integers from 0, how often each image counts.

    Returns:
        (S, 6 or 6 + K) float64 in percent, in the order of `metric_names`; NaN where no image of
        the weighting has an object to find.
    """
    scores = np.full((len(matches), len(weights), len(OVERALL)), np.nan)
    for index, one_class in enumerate(matches):
        for area in range(len(AREAS)):
            curves = _class_precision(one_class, area, weights)  # (S, 10)
            if area:
                scores[index, :, 2 + area] = curves.mean(axis=1)
            else:
                scores[index, :, 0] = curves.mean(axis=1)
                scores[index, :, 1] = curves[:, _IOU_50]
                scores[index, :, 2] = curves[:, _IOU_75]
    overall = _mean_of_defined(scores)
    each = scores[:, :, 0].T if len(matches) > 1 else np.zeros((len(weights), 0))
    return 100 * np.concatenate([overall, each], axis=1)


def _mean_of_defined(scores: np.ndarray) -> np.ndarray:
    """Returns the mean over the first axis of what is not NaN; NaN where nothing is."""
    defined = ~np.isnan(scores)
    number = defined.sum(axis=0)
    total = np.where(defined, scores, 0).sum(axis=0)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _class_precision(matches: ClassMatches, area: int, weights: np.ndarray) -> np.ndarray:
    """Returns (S, 10 IoUs) float64, one class's AP in 0 … 1; NaN without objects."""
    num_objects = weights @ matches.num_objects[area]  # (S,)
    precision = np.where(num_objects[:, None] > 0, np.zeros(NUM_IOUS), np.nan)
    order, copies = _columns(matches, int(weights.max(initial=0)))
    images = matches.images[order]
    curves = [
        _curve(matches.found[area, iou, order], matches.ignored[area, iou, order])
        for iou in range(NUM_IOUS)
    ]
    longest = max(len(curve.columns) for curve in curves)
    for rows in _row_chunks(np.flatnonzero(num_objects > 0), longest):
        reached, starts = _reached_recalls(num_objects[rows])
        for iou, curve in enumerate(curves):
            if len(curve.found):
                drawn = weights[rows][:, images[curve.columns]]  # (rows, R)
                copy = copies[curve.columns]
                drawn = np.where(copy > 0, drawn >= copy, drawn) if copy.any() else drawn
                precision[rows, iou] = _curve_precision(drawn, curve.found, reached, starts)
    return precision


def _columns(matches: ClassMatches, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Puts the detections in the order of the data set in which images stand several times.

    Copies of an untied detection follow each other, so one column with its image's weight is
    enough. Of detections with one score in one image the copies alternate (a b a b), so each gets
    a column for every copy, which counts where the image was drawn that often.

    Args:
        matches: of one class.
        most: the largest weight.

    Returns:
        (C,) int64 index of each column's detection, and (C,) int64 its copy from 1, or 0 where the
        column stands for all copies.
    """
    same = (np.diff(matches.scores) == 0) & (np.diff(matches.images) == 0)
    group = np.cumsum(np.concatenate([[True], ~same])[: len(matches.images)])
    tied = np.bincount(group, minlength=1)[group] > 1
    if most < 2 or not tied.any():
        return np.arange(len(group)), np.zeros(len(group), dtype=np.int64)
    repeats = np.where(tied, most, 1)
    order = np.repeat(np.arange(len(group)), repeats)
    copies = np.arange(len(order)) - np.repeat(np.cumsum(repeats) - repeats, repeats) + 1
    copies[~tied[order]] = 0
    sorted_ = np.lexsort((order, copies, group[order]))
    return order[sorted_], copies[sorted_]


def _curve(found: np.ndarray, ignored: np.ndarray) -> _Curve:
    columns = np.flatnonzero(~ignored)
    hits = np.flatnonzero(found[columns])
    return _Curve(columns[: hits[-1] + 1] if len(hits) else columns[:0], hits)


def _row_chunks(rows: np.ndarray, columns: int) -> Iterator[np.ndarray]:
    size = max(1, _BUDGET // max(columns, 1))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _reached_recalls(num_objects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts the recall thresholds that so many true positives reach.

    Args:
        num_objects: (S,) int64 from 1.

    Returns:
        (sum of num_objects + S,) int64, for one weighting after the other and 0, 1, …
        true positives; and (S, 1) int64, where each weighting's part starts.
    """
    lengths = num_objects + 1
    starts = np.cumsum(lengths) - lengths
    positives = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    recalls = positives / np.repeat(num_objects, lengths)
    return np.searchsorted(_RECALLS, recalls, side="right"), starts[:, None]


def _curve_precision(
    drawn: np.ndarray, found: np.ndarray, reached: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """Returns (S,) float64, the mean over 101 recalls of the best precision from there on.

    Args:
        drawn: (S, R) integers, how often each detection counts.
        found: (H,) int64, the columns of true positives.
        reached: from `_reached_recalls`.
        starts: from `_reached_recalls`.
    """
    positives = np.cumsum(drawn[:, found], axis=1)  # (S, H)
    detections = np.cumsum(drawn, axis=1)[:, found]
    precision = positives / (detections + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    steps = np.diff(reached[starts + positives], axis=1, prepend=0)
    return (best * steps).sum(axis=1) / len(_RECALLS)
