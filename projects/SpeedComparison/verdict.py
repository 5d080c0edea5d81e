"""Is ours slower than Detectron2's by more than Detectron2's differs from itself? Engine-neutral.

In every round three contestants take one step: `theirs`, `again` (a second model of the same
class and weights) and `ours`. The yardstick is what again/theirs could be, by chance and by where
the models lie in memory; ours/theirs has to stay within it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from resnext_det.timing.intervals import Interval, ratio

MAX_SPREAD = 0.05  # a yardstick wider than 5 % alone says nothing either way
NOT_SLOWER, SLOWER, UNDECIDED = "not slower", "slower", "undecided"


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


def _verdict(own: Interval, spread: float) -> str:
    """Holds the ratio of ours against the spread.

    SLOWER where all of its interval lies beyond the spread, NOT_SLOWER where its median does
    not, UNDECIDED otherwise and where the measurement is too coarse to tell.
    """
    if own.low > 1 + spread:
        return SLOWER
    fine_enough = spread <= MAX_SPREAD or own.high <= 1 + MAX_SPREAD
    return NOT_SLOWER if own.median <= 1 + spread and fine_enough else UNDECIDED
