"""Paired differences in COCO AP of two detectors trained with several seeds. Engine-neutral."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resnext_det.errors import UserError
from resnext_det.evaluation.box_arrays import TruthBoxes, read_rows, read_truth
from resnext_det.statistics.bootstrap import Draws, PairedDifference, differences_of
from resnext_det.statistics.matches import match_detections
from resnext_det.statistics.pairing import check_pairs
from resnext_det.statistics.weighted_ap import average_precision, metric_names


def paired_differences(
    annotations: Path,
    first: Sequence[Path],
    second: Sequence[Path],
    *,
    metrics: Sequence[str] | None = None,
    num_samples: int = 1000,
    confidence: float = 0.95,
) -> list[PairedDifference]:
    """Compares two detectors by a hierarchical paired bootstrap over images and seeds.

    The draws are the same in each call with as many images, seeds and samples, and the intervals
    are not corrected for how many there are.

    Args:
        annotations: COCO JSON that all results were made for.
        first: results files of the detector that is subtracted, one for each seed.
        second: results files of the detector it is subtracted from, the same seeds in their order.
        metrics: which of AP AP50 AP75 APs APm APl and, with several classes, AP-CLASS for each;
            None for all.
        num_samples: bootstrap samples.
        confidence: of the intervals, 0 … 1, both excluded.

    Returns:
        One difference for each metric, in their order; a metric without ground truth is left out.

    Raises:
        UserError: a file is missing, malformed, or of another data set; the seeds do not pair; or
            a metric, number of samples or confidence there is not.
    """
    check_pairs(first, second)
    truth = read_truth(annotations)
    names = metric_names(truth.class_names)
    for metric in metrics or ():
        if metric not in names:
            raise UserError(f"metric {metric!r}: {annotations} has {', '.join(names)}")
    draws = Draws(truth.num_images, len(first), num_samples)
    weights = draws.image_counts()
    scores = [
        np.stack([_scores(truth, path, weights) for path in paths]) for paths in (first, second)
    ]
    found = differences_of(names, scores[0], scores[1], draws, confidence)
    wanted = names if metrics is None else metrics
    return [difference for name in wanted for difference in found if difference.metric == name]


def _scores(truth: TruthBoxes, results: Path, weights: np.ndarray) -> np.ndarray:
    """Returns (S, M) float64, what one results file scores under each weighting."""
    return average_precision(match_detections(truth, read_rows(results, truth)), weights)
