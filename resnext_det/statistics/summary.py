"""Mean and spread over seeds, and Student's interval of the mean. Engine-neutral."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Summary:
    """Several seeds' values of one metric.

    Attributes:
        mean: their mean; None where there is no value.
        std: their sample standard deviation (divisor n - 1); None below two values.
        n: how many values there are.
    """

    mean: float | None
    std: float | None
    n: int


def summarise(values: Iterable[float | None]) -> Summary:
    """Returns mean, spread and number of the values; None, which has no ground truth, is left out.

    Args:
        values: one of each seed.
    """
    array = np.array([value for value in values if value is not None], dtype=np.float64)
    if not len(array):
        return Summary(None, None, 0)
    std = float(array.std(ddof=1)) if len(array) > 1 else None
    return Summary(float(array.mean()), std, len(array))


def t_interval(values: Iterable[float], confidence: float) -> tuple[float, float] | None:
    """Returns Student's t interval of the mean, or None below two values.

    Mean ± t((1 + confidence) / 2, n - 1) · std / √n, for values that are independent and about
    normally distributed. Equal values give an interval of no width.

    Args:
        values: one of each seed.
        confidence: 0 … 1, both excluded.
    """
    from scipy.stats import t  # takes a second to import

    summary = summarise(values)
    if summary.mean is None or summary.std is None:
        return None
    quantile = float(t.ppf((1 + confidence) / 2, summary.n - 1))
    half = quantile * summary.std / summary.n**0.5
    return summary.mean - half, summary.mean + half
