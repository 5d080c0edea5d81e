"""Precision over recall, averaged over classes and seeds. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnext_det.errors import UserError
from resnext_det.evaluation.box_arrays import TruthBoxes, read_rows, read_truth
from resnext_det.evaluation.coco_ap import evaluate_arrays

_IOUS = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True)
class PrecisionRecall:
    """One detector's curve, in percent.

    Attributes:
        recall: 0, 1 … 100.
        precision: at each recall, the mean over the classes that have objects and over the seeds;
            its mean over the recalls is the mean AP.
        low: the lowest seed's at each recall; None with one seed.
        high: the highest seed's at each recall; None with one seed.
    """

    recall: tuple[float, ...]
    precision: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None


def precision_recall(
    annotations: Path, results: Sequence[Path], iou: float | None
) -> PrecisionRecall | None:
    """Returns COCO's interpolated precision at 101 recalls.

    Args:
        annotations: COCO JSON that all results were made for.
        results: results files of one detector, one for each seed.
        iou: 0.5, 0.55 … 0.95; None for the mean over all ten.

    Returns:
        The curve, or None where there is no ground truth.

    Raises:
        UserError: a file is missing or malformed, there is none, or COCO has no such IoU.
    """
    if not results:
        raise UserError("a precision-recall curve needs at least one results file")
    chosen = np.arange(10) if iou is None else np.flatnonzero(np.isclose(_IOUS, iou))
    if not len(chosen):
        raise UserError(f"IoU {iou}: COCO's are 0.5, 0.55 … 0.95")
    truth = read_truth(annotations)
    curves = [_curve(truth, path, chosen) for path in results]
    defined = [curve for curve in curves if curve is not None]
    if not defined:
        return None
    seeds = 100 * np.stack(defined)  # (N, 101)
    several = len(seeds) > 1
    return PrecisionRecall(
        recall=tuple(float(percent) for percent in range(101)),
        precision=tuple(seeds.mean(axis=0).tolist()),
        low=tuple(seeds.min(axis=0).tolist()) if several else None,
        high=tuple(seeds.max(axis=0).tolist()) if several else None,
    )


def _curve(truth: TruthBoxes, results: Path, ious: np.ndarray) -> np.ndarray | None:
    """Returns (101,) float64 in 0 … 1, or None where no class has an object."""
    precision = evaluate_arrays(truth, read_rows(results, truth)).eval["precision"]
    of_classes = precision[ious, :, :, 0, 2].mean(axis=0)  # (101, K): all areas, 100 detections
    defined = of_classes[:, of_classes[0] > -1]
    return defined.mean(axis=1) if defined.size else None
