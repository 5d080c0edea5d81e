"""Everything that is measured of one results file. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnext_det.analysis.calibration import Calibration, calibrate
from resnext_det.analysis.confusion import Confusion, confuse
from resnext_det.analysis.errors import Costs, Errors, cost_of, find_errors
from resnext_det.analysis.images import ImageCounts, count_images
from resnext_det.analysis.scored_boxes import ScoredBoxes, score_boxes
from resnext_det.analysis.thresholds import ScoreCurves, curves_of_all, curves_of_class
from resnext_det.errors import UserError
from resnext_det.evaluation.box_arrays import TruthBoxes, read_rows
from resnext_det.evaluation.coco_ap import evaluate_arrays, stats_of
from resnext_det.statistics.intervals import MetricInterval, metric_intervals
from resnext_det.statistics.matches import AREAS, match_detections

NO_DETECTION_THRESH = 0.5
_LIMIT = 2  # of pycocotools' 1, 10 and 100 detections

CLASS_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100")


@dataclass(frozen=True)
class Options:
    """How it is measured.

    Attributes:
        score_thresh: the lowest score that counts in images, classes and the confusion matrix,
            0 … 1; None for the one with the largest F1 over all classes.
        num_samples: of the bootstrap; 0 for no intervals.
        confidence: of the intervals.
    """

    score_thresh: float | None = None
    num_samples: int = 1000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.score_thresh is not None and not 0 <= self.score_thresh <= 1:
            raise UserError(f"score threshold {self.score_thresh}: it lies between 0 and 1")
        if self.num_samples < 0:
            raise UserError(f"{self.num_samples} samples: give 0 for no intervals, or more")


@dataclass(frozen=True)
class Analysis:
    """What one results file says; AP, errors' kinds and so on are those of their modules.

    Attributes:
        results: the file.
        boxes: its detections beside the objects.
        num_detections: N, with those past 100 of an image and class.
        metrics: (12,) float64 in percent, in the order of `coco_ap.METRICS`; NaN undefined.
        of_class: (9, K) float64 in percent, in the order of CLASS_METRICS; NaN undefined.
        precision: (10 IoUs, 101 recalls, K) float64 in percent, of all sizes; NaN undefined.
        intervals: of the metrics; empty without samples.
        confidence: of the intervals.
        threshold: the lowest score that counts where a threshold is needed.
        overall: all classes together, over the score; None without an object.
        curves: each class by itself; None for one without an object.
        confusion: at the threshold.
        errors: of all detections.
        costs: of the errors.
        calibration: of all detections.
        class_calibration: (K,) float64, each class's calibration error; NaN without a detection.
        images: at the threshold.
    """

    results: Path
    boxes: ScoredBoxes
    num_detections: int
    metrics: np.ndarray
    of_class: np.ndarray
    precision: np.ndarray
    intervals: Sequence[MetricInterval]
    confidence: float
    threshold: float
    overall: ScoreCurves | None
    curves: Sequence[ScoreCurves | None]
    confusion: Confusion
    errors: Errors
    costs: Costs
    calibration: Calibration
    class_calibration: np.ndarray
    images: ImageCounts

    @property
    def truth(self) -> TruthBoxes:
        """The annotation file's content."""
        return self.boxes.truth


def analyse(truth: TruthBoxes, results: Path, options: Options) -> Analysis:
    """Measures a results file.

    Args:
        truth: what should have been found.
        results: COCO box results.
        options: how.

    Raises:
        UserError: the file is missing or malformed, or is of other images or classes; or a number
            of samples or a confidence there is not.
    """
    rows = read_rows(results, truth)
    metrics, of_class, precision = _coco(truth, rows)
    boxes = score_boxes(truth, rows)
    overall = curves_of_all(boxes)
    threshold = options.score_thresh
    if threshold is None:
        best = overall.best if overall is not None else None
        threshold = NO_DETECTION_THRESH if best is None else best.threshold
    errors = find_errors(boxes)
    classes = range(boxes.num_classes)
    return Analysis(
        results=results,
        boxes=boxes,
        num_detections=len(rows),
        metrics=metrics,
        of_class=of_class,
        precision=precision,
        intervals=_intervals(truth, rows, options),
        confidence=options.confidence,
        threshold=threshold,
        overall=overall,
        curves=[curves_of_class(boxes, number) for number in classes],
        confusion=confuse(boxes, threshold),
        errors=errors,
        costs=cost_of(boxes, errors),
        calibration=calibrate(boxes),
        class_calibration=np.array(
            [calibrate(boxes, boxes.classes == number).error for number in classes]
        ),
        images=count_images(boxes, errors, threshold),
    )


def _coco(truth: TruthBoxes, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns pycocotools' numbers: (12,), (9, K) and (10, 101, K), in percent."""
    evaluation = evaluate_arrays(truth, rows)
    precision = np.asarray(evaluation.eval["precision"], np.float64)  # (10, 101, K, 4, 3)
    recall = np.asarray(evaluation.eval["recall"], np.float64)  # (10, K, 4, 3)
    of_all = precision[:, :, :, 0, _LIMIT]
    curves = [of_all, of_all[:1], of_all[5:6]]
    curves += [precision[:, :, :, area, _LIMIT] for area in range(1, len(AREAS))]
    of_class = [_percent(curve).mean(axis=(0, 1)) for curve in curves]
    of_class += [_percent(recall[:, :, 0, limit]).mean(axis=0) for limit in range(3)]
    return _percent(stats_of(precision, recall)), np.stack(of_class), _percent(of_all)


def _percent(values: np.ndarray) -> np.ndarray:
    return np.where(values < 0, np.nan, 100 * values)


def _intervals(truth: TruthBoxes, rows: np.ndarray, options: Options) -> list[MetricInterval]:
    if not options.num_samples:
        return []
    return metric_intervals(
        match_detections(truth, rows),
        truth.class_names,
        truth.num_images,
        num_samples=options.num_samples,
        confidence=options.confidence,
    )
