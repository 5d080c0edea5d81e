"""An analysis as JSON, and as tables for CSV. Engine-neutral."""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from resnext_det.analysis.analyse import CLASS_METRICS, Analysis
from resnext_det.analysis.coverage import images_without_detection
from resnext_det.analysis.errors import KINDS
from resnext_det.analysis.scored_boxes import BACKGROUND_IOU, IOU
from resnext_det.analysis.sizes import size_rows
from resnext_det.analysis.thresholds import GRID, Kept, ScoreCurves
from resnext_det.evaluation.coco_ap import METRICS
from resnext_det.statistics.matches import IOUS

BACKGROUND_NAME = "background"
Table = list[list[Any]]


def as_json(found: Analysis) -> dict[str, Any]:
    """Returns everything but the single detections; null where something is not defined."""
    truth = found.truth
    content = {
        "annotations": str(truth.path),
        "results": str(found.results),
        "num_images": truth.num_images,
        "num_objects": int(found.boxes.sought.sum()),
        "num_detections": found.num_detections,
        "images_without_detection": images_without_detection(found.boxes),
        "metrics": dict(zip(METRICS, found.metrics.tolist(), strict=True)),
        "intervals": _intervals(found),
        "threshold": found.threshold,
        "overall": _curves(found.overall),
        "classes": _classes(found),
        "sizes": size_rows(found),
        "precision_recall": _precision_recall(found),
        "errors": _errors(found),
        "confusion": {
            "iou": IOU,
            "score_thresh": found.confusion.threshold,
            "names": [*truth.class_names, BACKGROUND_NAME],
            "rows_are": "true classes",
            "matrix": found.confusion.matrix.tolist(),
        },
        "calibration": _calibration(found),
    }
    return plain(content)


def class_table(found: Analysis) -> Table:
    """Returns a line for each class, under a line of headings."""
    heads = ["class", "objects", "detections", *CLASS_METRICS, "AP_low", "AP_high"]
    heads += ["best_threshold", "best_F1", "precision_at_best", "recall_at_best"]
    heads += ["calibration_error", *(f"cost_{kind}" for kind in KINDS)]
    table = [heads]
    for name, entry in _classes(found).items():
        best = entry["best"] or {}
        ends = entry["AP_interval"] or [None, None]
        line = [name, entry["objects"], entry["detections"]]
        line += [entry["metrics"][key] for key in CLASS_METRICS]
        line += [*ends, *(best.get(key) for key in ("threshold", "f1", "precision", "recall"))]
        line += [entry["calibration_error"], *(entry["error_costs"][kind] for kind in KINDS)]
        table.append(line)
    return table


def image_table(found: Analysis) -> Table:
    """Returns a line for each image, under a line of headings."""
    images, truth = found.images, found.truth
    table: Table = [["image_id", "file_name", "right", "wrong", "not_found", "F1", *KINDS]]
    columns = (images.right, images.wrong, images.unfound, images.f1, *images.errors)
    for number, (key, name) in enumerate(zip(truth.image_ids, truth.file_names, strict=True)):
        table.append([key, name, *(column[number].item() for column in columns)])
    return table


def confusion_table(found: Analysis) -> Table:
    """Returns the confusion matrix, true classes in lines, with the names of both."""
    names = [*found.truth.class_names, BACKGROUND_NAME]
    matrix = found.confusion.matrix.tolist()
    return [["true \\ found", *names], *([n, *r] for n, r in zip(names, matrix, strict=True))]


def as_csv(table: Table) -> str:
    """Returns a table as CSV; what is not defined is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_cell(value) for value in line] for line in table)
    return text.getvalue()


def plain(value: Any) -> Any:
    """Returns nested values with None for NaN, which JSON lacks."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: Any) -> Any:
    """Returns text that a spreadsheet does not take for a formula, and numbers as they are."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def _intervals(found: Analysis) -> dict[str, Any]:
    ends = {one.metric: [one.low, one.high] for one in found.intervals}
    return {"confidence": found.confidence, "over": "images", "ends": ends}


def _kept(kept: Kept | None) -> dict[str, float] | None:
    return None if kept is None else dict(vars(kept))


def _curves(curves: ScoreCurves | None) -> dict[str, Any] | None:
    if curves is None:
        return None
    lists = {name: getattr(curves, name) for name in ("precision", "recall", "f1")}
    return {"best": _kept(curves.best), "score": GRID, **lists}


def _classes(found: Analysis) -> dict[str, Any]:
    objects = found.boxes.objects_of_class()
    detections = np.bincount(found.boxes.classes, minlength=found.boxes.num_classes)
    ends = {one.metric: [one.low, one.high] for one in found.intervals}
    several = found.boxes.num_classes > 1
    classes = {}
    for number, name in enumerate(found.truth.class_names):
        curves = found.curves[number]
        classes[name] = {
            "objects": int(objects[number]),
            "detections": int(detections[number]),
            "metrics": dict(zip(CLASS_METRICS, found.of_class[:, number].tolist(), strict=True)),
            "AP_interval": ends.get(f"AP-{name}" if several else "AP"),
            "best": _kept(None if curves is None else curves.best),
            "f1": None if curves is None else curves.f1,
            "calibration_error": float(found.class_calibration[number]),
            "error_costs": _by_kind(found.costs.of_class[:, number].tolist()),
        }
    return classes


def _by_kind(values: Iterable[Any]) -> dict[str, Any]:
    return dict(zip(KINDS, values, strict=True))


def _precision_recall(found: Analysis) -> dict[str, Any]:
    """Returns precision at 101 recalls: the mean of the classes, and each at IoU 0.50."""
    defined = ~np.isnan(found.precision[0, 0])
    mean = found.precision[:, :, defined].mean(axis=2) if defined.any() else None
    names = found.truth.class_names
    return {
        "recall": np.arange(101),
        "mean": {} if mean is None else {f"{iou:.2f}": mean[n] for n, iou in enumerate(IOUS)},
        "classes": {
            name: found.precision[0, :, number]
            for number, name in enumerate(names)
            if defined[number]
        },
    }


def _errors(found: Analysis) -> dict[str, Any]:
    costs = found.costs
    defined = costs.ap50[~np.isnan(costs.ap50)]
    return {
        "iou": IOU,
        "background_iou": BACKGROUND_IOU,
        "AP50": float(defined.mean()) if len(defined) else None,
        "counts": _by_kind(found.errors.count(kind) for kind in range(len(KINDS))),
        "costs": _by_kind(costs.overall.tolist()),
        "cost_of_false_positives": costs.false_positives,
        "cost_of_false_negatives": costs.false_negatives,
    }


def _calibration(found: Analysis) -> dict[str, Any]:
    return dict(vars(found.calibration))
