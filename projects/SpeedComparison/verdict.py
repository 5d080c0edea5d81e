"""Is ours slower than Detectron2's by more than Detectron2's differs from itself? Engine-neutral.

In every round three contestants take one step: `theirs`, `again` (a second model of the same
class and weights) and `ours`. The yardstick is what again/theirs could be, by chance and by where
the models lie in memory; ours/theirs has to stay within it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

DRAWS = 2000
MAX_SPREAD = 0.05  # a yardstick wider than 5 % alone says nothing either way
NOT_SLOWER, SLOWER, UNDECIDED = "not slower", "slower", "undecided"


@dataclass(frozen=True)
class Ratio:
    """A median of ratios, round by round, with its 95 % interval."""

    median: float
    low: float
    high: float


def ratio(times: Sequence[Mapping[str, float]], above: str, below: str) -> Ratio:
    """Returns the median over the rounds of one contestant's time by another's.

    The interval is that of a bootstrap over rounds, whose draws depend on nothing but their
    number.
    """
    values = np.array([round_[above] / round_[below] for round_ in times])
    picks = np.random.default_rng(0).integers(len(values), size=(DRAWS, len(values)))
    low, high = np.percentile(np.median(values[picks], axis=1), [2.5, 97.5])
    return Ratio(float(np.median(values)), float(low), float(high))


def judge(times: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Judges the rounds of one case.

    Args:
        times: for each round, the seconds of "theirs", "again" and "ours".

    Returns:
        Median seconds of each, both ratios, the yardstick `spread` (how far the interval of
        again/theirs reaches from 1), and the verdict; see `_verdict`.
    """
    own, itself = ratio(times, "ours", "theirs"), ratio(times, "again", "theirs")
    spread = math.exp(max(abs(math.log(itself.low)), abs(math.log(itself.high)))) - 1
    return {
        "seconds": {name: median(round_[name] for round_ in times) for name in times[0]},
        "ours/theirs": asdict(own),
        "again/theirs": asdict(itself),
        "spread": spread,
        "verdict": _verdict(own, spread),
    }


def _verdict(own: Ratio, spread: float) -> str:
    """Holds the ratio of ours against the spread.

    SLOWER where all of its interval lies beyond the spread, NOT_SLOWER where its median does
    not, UNDECIDED otherwise and where the measurement is too coarse to tell.
    """
    if own.low > 1 + spread:
        return SLOWER
    fine_enough = spread <= MAX_SPREAD or own.high <= 1 + MAX_SPREAD
    return NOT_SLOWER if own.median <= 1 + spread and fine_enough else UNDECIDED
