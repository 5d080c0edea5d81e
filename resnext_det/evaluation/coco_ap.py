"""COCO box AP and AR by hotcoco, with pycocotools as the reference. Engine-neutral."""

import contextlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from resnext_det.errors import UserError
from resnext_det.evaluation.box_arrays import TruthBoxes, read_rows, read_truth
from resnext_det.evaluation.coco_input import GroundTruth, read_ground_truth, result_rows
from resnext_det.evaluation.results_json import read_results

logger = logging.getLogger(__name__)

Backend = Literal["hotcoco", "pycocotools"]

# pycocotools' COCOeval.stats, in its order, under Detectron2's names.
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


@dataclass(frozen=True)
class _Scores:
    """What either library computed.

    Attributes:
        stats: (12,) float64 in 0 … 1 in the order of METRICS, -1 where undefined.
        precision: (10 IoUs, 101 recalls, K, 4 areas, 3 limits) float64, -1 where undefined.
        recall: (10 IoUs, K, 4 areas, 3 limits) float64, -1 where undefined.
    """

    stats: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


def evaluate_coco(
    annotations: Path | GroundTruth,
    results: Path | list[dict[str, Any]],
    *,
    backend: Backend = "hotcoco",
) -> dict[str, float | None]:
    """Scores detections against a COCO annotation file.

    Args:
        annotations: COCO JSON with images, annotations and categories, or its content.
        results: COCO result records, or the file that holds them; may be empty.
        backend: the library that counts; both give the same numbers.

    Returns:
        AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl in percent; 0.0 where
        nothing was detected, None where there is no ground truth to find.

    Raises:
        UserError: a file is missing or malformed, or a record names an image or a
            category that the annotation file does not have.
    """
    _, scores = _score(annotations, results, backend)
    return {name: _percent(value) for name, value in zip(METRICS, scores.stats, strict=True)}


def evaluate_coco_per_class(
    annotations: Path | GroundTruth,
    results: Path | list[dict[str, Any]],
    *,
    backend: Backend = "hotcoco",
) -> dict[str, dict[str, float | None]]:
    """Scores each class by itself, over all areas and 100 detections per image.

    Args:
        annotations: as for `evaluate_coco`.
        results: as for `evaluate_coco`.
        backend: as for `evaluate_coco`.

    Returns:
        Class name -> {"AP", "AP50", "AR100"} in percent, in the order of the category
        ids; None for a class without ground truth.

    Raises:
        UserError: as for `evaluate_coco`.
    """
    return _class_table(*_score(annotations, results, backend))


def evaluate_boxes(
    ground_truth: GroundTruth,
    results: Path | list[dict[str, Any]],
    *,
    backend: Backend = "hotcoco",
) -> dict[str, float | None]:
    """Scores detections under the names that a run reports.

    Args:
        ground_truth: from `coco_input.ground_truth_of`.
        results: as for `evaluate_coco`.
        backend: as for `evaluate_coco`.

    Returns:
        AP AP50 AP75 APs APm APl, and with several classes AP-CLASS for each, as Detectron2
        does; in percent, None where there is no ground truth to find.

    Raises:
        UserError: as for `evaluate_coco`.
    """
    if not ground_truth.dataset["annotations"]:
        logger.warning("%s: no annotations, so nothing is scored", ground_truth.path)
    _, scores = _score(ground_truth, results, backend)
    metrics = {name: _percent(scores.stats[index]) for index, name in enumerate(METRICS[:6])}
    if len(ground_truth.class_names) > 1:
        table = _class_table(ground_truth.class_names, scores)
        metrics |= {f"AP-{name}": row["AP"] for name, row in table.items()}
    return metrics


def _class_table(names: Sequence[str], scores: _Scores) -> dict[str, dict[str, float | None]]:
    table = {}
    for index, name in enumerate(names):
        precision = scores.precision[:, :, index, 0, 2]  # (10, 101): all areas, 100 detections
        table[name] = {
            "AP": _mean_percent(precision),
            "AP50": _mean_percent(precision[0]),
            "AR100": _mean_percent(scores.recall[:, index, 0, 2]),
        }
    return table


def _score(
    annotations: Path | GroundTruth, results: Path | list[dict[str, Any]], backend: Backend
) -> tuple[tuple[str, ...], _Scores]:
    """Returns the names of the classes, and what the library computed."""
    count = {"hotcoco": evaluate_with_hotcoco, "pycocotools": evaluate_with_pycocotools}
    if backend not in count:
        raise UserError(f"evaluation backend {backend!r}: there are hotcoco and pycocotools")
    if isinstance(annotations, GroundTruth):
        ground_truth = annotations
    elif backend == "hotcoco" and not isinstance(results, list):
        truth = read_truth(Path(annotations))
        rows = read_rows(Path(results), truth)
        return truth.class_names, _scores_of(evaluate_arrays(truth, rows))
    else:
        ground_truth = read_ground_truth(Path(annotations))
    if isinstance(results, list):
        name, records = "results", results
    else:
        name, records = str(results), read_results(Path(results))
    rows = result_rows(name, records, ground_truth)
    return ground_truth.class_names, _scores_of(count[backend](ground_truth.dataset, rows))


def _scores_of(evaluation: Any) -> _Scores:
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    return _Scores(stats_of(precision, recall), precision, recall)


def stats_of(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Returns pycocotools' 12 numbers as COCOeval.summarize takes them, to the last bit.

    hotcoco's own are summed in another order, and differ by a rounding.

    Args:
        precision: (10 IoUs, 101 recalls, K, 4 areas, 3 limits), -1 where undefined.
        recall: (10 IoUs, K, 4 areas, 3 limits), -1 where undefined.

    Returns:
        (12,) float64 in 0 … 1 in the order of METRICS, -1 where undefined.
    """
    of_all = precision[:, :, :, 0, 2]
    parts = [of_all, of_all[:1], of_all[5:6]]  # IoU 0.50 … 0.95, 0.50, 0.75
    parts += [precision[:, :, :, area, 2] for area in (1, 2, 3)]
    parts += [recall[:, :, 0, limit] for limit in (0, 1, 2)]
    parts += [recall[:, :, area, 2] for area in (1, 2, 3)]
    defined = [part[part > -1] for part in parts]
    return np.array([values.mean() if values.size else -1.0 for values in defined])


def evaluate_arrays(truth: TruthBoxes, rows: np.ndarray) -> Any:
    """Returns hotcoco's COCOeval, run, for arrays of `box_arrays`."""
    from hotcoco import COCO, COCOeval  # loads its plotting parts; only when evaluating

    ground = COCO.from_arrays(
        [{"id": number} for number in range(truth.num_images)],
        [{"id": number, "name": name} for number, name in enumerate(truth.class_names)],
        truth.images,
        truth.classes,
        truth.boxes,
        # From 1: pycocotools takes an annotation of id 0 for "no match".
        ids=np.arange(1, len(truth.images) + 1),
        area=truth.areas,
        iscrowd=truth.crowd.astype(np.int64),
    )
    return _run(COCOeval(ground, ground.load_res(rows), "bbox"))


def evaluate_with_hotcoco(dataset: dict[str, Any], rows: np.ndarray) -> Any:
    """Returns hotcoco's COCOeval, run, for arrays of `coco_input`."""
    from hotcoco import COCO, COCOeval  # loads its plotting parts; only when evaluating

    truth = COCO(dataset)
    return _run(COCOeval(truth, truth.load_res(rows), "bbox"))


def evaluate_with_pycocotools(dataset: dict[str, Any], rows: np.ndarray) -> Any:
    """Returns pycocotools' COCOeval, run, for arrays of `coco_input`."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth: Any = COCO()
    found: Any = COCO()
    truth.dataset = dataset
    # Built by hand, because its loadRes fails on an empty list.
    found.dataset = {**dataset, "annotations": [_as_annotation(n, r) for n, r in enumerate(rows)]}
    truth.createIndex()
    found.createIndex()
    return _run(COCOeval(truth, found, "bbox"))


def _as_annotation(number: int, row: np.ndarray) -> dict[str, Any]:
    image, x, y, width, height, score, category = row.tolist()
    return {
        "id": number + 1,
        "image_id": int(image),
        "category_id": int(category),
        "bbox": [x, y, width, height],
        "area": width * height,
        "iscrowd": 0,
        "score": score,
    }


def _run(evaluation: Any) -> Any:
    """Runs a COCOeval of either library; they share the interface."""
    evaluation.evaluate()
    evaluation.accumulate()
    # Both libraries print their table; the caller has the numbers.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.summarize()
    return evaluation


def _percent(value: float) -> float | None:
    return None if value < 0 else float(value) * 100


def _mean_percent(values: np.ndarray) -> float | None:
    defined = values[values > -1]
    return float(defined.mean()) * 100 if defined.size else None
