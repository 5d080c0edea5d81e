"""The difference of two detectors' AP on the same images, with its interval. Engine-neutral."""

from dataclasses import dataclass
from pathlib import Path

from resnext_det.evaluation.coco_ap import evaluate_with_hotcoco
from resnext_det.evaluation.coco_input import read_ground_truth, result_rows
from resnext_det.evaluation.results_json import read_results


@dataclass(frozen=True)
class Difference:
    """What the second set of detections scores above the first, in AP points.

    Attributes:
        value: second minus first, percent points.
        low: lower end of the interval.
        high: upper end of the interval.
        confidence: share of bootstrap samples inside the interval.
        num_images: images that were drawn from.
    """

    value: float
    low: float
    high: float
    confidence: float
    num_images: int

    @property
    def excludes_zero(self) -> bool:
        """Whether both ends of the interval lie on one side of zero."""
        return self.low > 0 or self.high < 0


def compare_coco(
    annotations: Path,
    first: Path,
    second: Path,
    *,
    metric: str = "AP",
    num_samples: int = 1000,
    confidence: float = 0.95,
) -> Difference | None:
    """Compares two results files by a paired bootstrap over images (hotcoco.compare).

    The interval says how far the difference depends on which images were held out. It
    says nothing about another training seed.

    Args:
        annotations: COCO JSON both were made for.
        first: results file that is subtracted.
        second: results file it is subtracted from.
        metric: one of `coco_ap.METRICS`.
        num_samples: bootstrap samples, drawn with a fixed seed.
        confidence: width of the interval, 0 … 1.

    Returns:
        The difference, or None where the metric is undefined for want of ground truth.

    Raises:
        UserError: a file is missing or malformed.
    """
    import hotcoco  # loads its plotting parts; only when comparing

    truth = read_ground_truth(annotations)
    sides = [
        evaluate_with_hotcoco(truth.dataset, result_rows(str(path), read_results(path), truth))
        for path in (first, second)
    ]
    compared = hotcoco.compare(*sides, n_bootstrap=num_samples, confidence=confidence)
    if compared["metrics_a"][metric] < 0:
        return None
    interval = compared["ci"][metric]
    return Difference(
        value=100 * compared["deltas"][metric],
        low=100 * interval["lower"],
        high=100 * interval["upper"],
        confidence=confidence,
        num_images=compared["num_images"],
    )
