"""Medians of timed rounds and of their ratios, with intervals. Engine-neutral."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """A median over rounds with its 95 % interval."""

    median: float
    low: float
    high: float


def median_interval(values: Sequence[float]) -> Interval:
    """Returns the median of one value for each round.

    The interval is that of a bootstrap over rounds, whose draws depend on nothing but their
    number.
    """
    array = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(0).integers(len(array), size=(DRAWS, len(array)))
    low, high = np.percentile(np.median(array[picks], axis=1), [2.5, 97.5])
    return Interval(float(np.median(array)), float(low), float(high))


def ratio(times: Sequence[Mapping[str, float]], above: str, below: str) -> Interval:
    """Returns the median over the rounds of one contestant's time by another's.

    Args:
        times: for each round, name -> seconds.
        above: the name of one; both were timed in each of the rounds.
        below: the name of the other.
    """
    return median_interval([round_[above] / round_[below] for round_ in times])
