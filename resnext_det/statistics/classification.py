"""Paired differences in top-1 and top-5 accuracy of two classifiers. Engine-neutral."""

from collections.abc import Sequence
from pathlib import Path

from resnext_det.statistics.bootstrap import PairedDifference


def paired_topk_differences(
    first: Sequence[Path],
    second: Sequence[Path],
    *,
    num_samples: int = 1000,
    confidence: float = 0.95,
) -> list[PairedDifference]:
    """Compares two classifiers by a hierarchical paired bootstrap over images and seeds.

    Args:
        first: `inference/classification_ranks.json` of the classifier that is subtracted, one for
            each seed.
        second: those of the classifier it is subtracted from, the same seeds in their order.
        num_samples: bootstrap samples.
        confidence: of the intervals, 0 … 1, both excluded.

    Returns:
        The differences in top1 and top5 accuracy.

    Raises:
        UserError: a file is missing, malformed, or of other images than the first; the seeds do
            not pair; or a number of samples or confidence there is not.
    """
    raise NotImplementedError
