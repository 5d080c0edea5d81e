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
class _Columns:
    """One class's detections in the order of the data set in which images stand several times.

    Attributes:
        images: (C,) int64, each column's image.
        copies: (C,) int64, the copy it stands for, from 1; 0 where it stands for all copies.
        detections: (C,) int64, the index of its detection.
    """

    images: np.ndarray
    copies: np.ndarray
    detections: np.ndarray

    def drawn(self, weights: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Returns (S, R), how often the chosen (R,) columns count under (S, I) weights."""
        counts = weights.take(self.images[chosen], axis=1)
        copies = self.copies[chosen]
        return np.where(copies > 0, counts >= copies, counts) if copies.any() else counts


@dataclass(frozen=True)
class _Curve:
    """What one IoU's precision-recall curve is made of.

    Attributes:
        found: (H,) int64, the columns of the true positives, rising.
        shared: (H,) int64, how many columns that count at every IoU stand up to each of them.
        extra: (E,) int64, the columns that count at this IoU and not at every one.
        extra_before: (H,) int64, how many of these stand up to each true positive.
    """

    found: np.ndarray
    shared: np.ndarray
    extra: np.ndarray
    extra_before: np.ndarray


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
    holders = np.flatnonzero(matches.num_objects[area])
    num_objects = weights[:, holders] @ matches.num_objects[area, holders]  # (S,)
    precision = np.where(num_objects[:, None] > 0, np.zeros(NUM_IOUS), np.nan)
    columns = _columns(matches, int(weights.max(initial=0)))
    counting = ~matches.ignored[area][:, columns.detections]  # (10, C)
    found = matches.found[area][:, columns.detections]
    always = counting.all(axis=0)
    curves = [_curve(found[iou], counting[iou], always) for iou in range(NUM_IOUS)]
    shared = np.flatnonzero(always)
    for rows in _row_chunks(np.flatnonzero(num_objects > 0), len(always)):
        counts = weights[rows]
        reached, starts = _reached_recalls(num_objects[rows])
        running = _running_sum(columns.drawn(counts, shared))
        for iou, curve in enumerate(curves):
            if len(curve.found):
                positives = _running_sum(columns.drawn(counts, curve.found))[:, 1:]
                detections = running.take(curve.shared, axis=1)  # (S, H)
                if len(curve.extra):
                    extra = _running_sum(columns.drawn(counts, curve.extra))
                    detections += extra.take(curve.extra_before, axis=1)
                steps = np.diff(reached[starts + positives], axis=1, prepend=0)
                precision[rows, iou] = _mean_precision(positives, detections, steps)
    return precision


def _columns(matches: ClassMatches, most: int) -> _Columns:
    """Puts a class's detections in the order in which pycocotools would meet their copies.

    Copies of an untied detection follow each other, so one column with its image's weight is
    enough. Of detections with one score in one image the copies alternate (a b a b), so each gets
    a column for every copy, which counts where the image was drawn that often.

    Args:
        matches: of one class.
        most: the largest weight.
    """
    number = len(matches.images)
    same = (np.diff(matches.scores) == 0) & (np.diff(matches.images) == 0)
    group = np.cumsum(np.concatenate([[True], ~same])[:number])
    tied = np.bincount(group)[group] > 1
    if most < 2 or not tied.any():
        return _Columns(matches.images, np.zeros(number, np.int64), np.arange(number))
    repeats = np.where(tied, most, 1)
    detections = np.repeat(np.arange(number), repeats)
    copies = np.arange(len(detections)) - np.repeat(np.cumsum(repeats) - repeats, repeats) + 1
    copies[~tied[detections]] = 0
    order = np.lexsort((detections, copies, group[detections]))
    detections = detections[order]
    return _Columns(matches.images[detections], copies[order], detections)


def _curve(found: np.ndarray, counting: np.ndarray, always: np.ndarray) -> _Curve:
    columns = np.flatnonzero(found)
    extra = counting & ~always
    return _Curve(
        found=columns,
        shared=np.cumsum(always)[columns],
        extra=np.flatnonzero(extra),
        extra_before=np.cumsum(extra)[columns],
    )


def _running_sum(counts: np.ndarray) -> np.ndarray:
    """Returns (S, R + 1) int32, the sum of the first 0 … R of (S, R) counts."""
    sums = np.zeros((counts.shape[0], counts.shape[1] + 1), dtype=np.int32)
    np.cumsum(counts, axis=1, out=sums[:, 1:])
    return sums


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


def _mean_precision(positives: np.ndarray, detections: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Returns (S,) float64, the mean over 101 recalls of the best precision from there on.

    Args:
        positives: (S, H) int32, true positives up to each of them.
        detections: (S, H) int32, all detections up to there.
        steps: (S, H) int64, how many recall thresholds each true positive is the first to reach.
    """
    precision = positives / (detections + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return (best * steps).sum(axis=1) / len(_RECALLS)
