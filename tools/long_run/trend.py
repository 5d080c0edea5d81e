"""Whether what a process holds grows. Engine-neutral."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from scipy.stats import linregress, t

BOUND_MIB = 0.5
"""Growth per 1,000 iterations that is let pass: 45 MiB over the 90,000 of a COCO 1x schedule."""
_LEVEL = 0.975


def growth(done: Sequence[int], mib: Sequence[float], bound: float = BOUND_MIB) -> dict[str, Any]:
    """Fits a line to the second half, by ordinary least squares.

    Memory that neighbouring samples share makes the standard error too small, and so a growth
    significant too easily, not too rarely; what decides then is the bound.

    Args:
        done: iterations of each sample.
        mib: what was held then.
        bound: see `BOUND_MIB`.

    Returns:
        `mib_per_1000` with its `standard_error`, `is_significant` (one-sided, 2.5%), and `grows`:
        significant and above the bound.

    Raises:
        ValueError: the second half has fewer than three samples, or all at one iteration.
    """
    half = done[-1] / 2
    pairs = [(x / 1000, y) for x, y in zip(done, mib, strict=True) if x >= half]
    if len({x for x, _ in pairs}) < 3:
        raise ValueError("a fit needs at least three samples in the second half")
    fit: Any = linregress([x for x, _ in pairs], [y for _, y in pairs])
    slope, error = float(fit.slope), float(fit.stderr)
    error = error if math.isfinite(error) else 0.0  # scipy's NaN where nothing changes at all
    significant = slope > float(t.ppf(_LEVEL, len(pairs) - 2)) * error
    return {
        "mib_per_1000": round(slope, 4),
        "standard_error": round(error, 4),
        "samples": len(pairs),
        "at_half_mib": round(pairs[0][1], 1),
        "at_the_end_mib": round(pairs[-1][1], 1),
        "is_significant": significant,
        "grows": significant and slope > bound,
    }


def rise(values: Sequence[int]) -> dict[str, Any]:
    """Compares the last quarter with the second: their lowest values and their medians.

    What an evaluation opens and closes again raises neither where nothing leaks.

    Returns:
        The four numbers, and `rises`.
    """
    quarter = len(values) // 4
    second, last = values[quarter : 2 * quarter], values[-quarter:]
    found: Mapping[str, float] = {
        "lowest_of_second_quarter": min(second),
        "lowest_of_last_quarter": min(last),
        "median_of_second_quarter": median(second),
        "median_of_last_quarter": median(last),
    }
    rises = min(last) > min(second) or median(last) > median(second)
    return {**found, "highest": max(values), "rises": rises}
