"""Whether a faster contestant still computes the same as the exact one. Engine-neutral.

A trained detector is judged by its boxes in the timed images. Boxes of drawn weights are chance,
which rounding throws about as it likes: there the backbone's maps are compared. Training steps are
judged by their losses before the first update.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resnext_det.acceleration.machine import Mode
from resnext_det.benchmarking.agreement import MIN_AGREEMENT, agreement, maps_difference
from resnext_det.benchmarking.contestants import Wish, as_detections
from resnext_det.benchmarking.work import Work

MAX_MAPS_DIFFERENCE = 0.1
"""Of the norm of the maps: bfloat16 rounds to 1 part in 256, in each of some fifty layers."""
MAX_LOSS_DIFFERENCE = 0.02
"""Of the sum of the losses."""


@dataclass(frozen=True)
class Verdict:
    """What a comparison came to.

    Attributes:
        near_enough: whether the faster one may take the exact one's place.
        told: what was found, in some words.
        details: for JSON.
    """

    near_enough: bool
    told: str
    details: Mapping[str, Any]


def wish_of(work: Work, mode: Mode) -> Wish:
    """Returns what contestants of a mode are judged by."""
    if mode == "training":
        return "losses"
    return "boxes" if work.trained else "maps"


def judge(wish: Wish, expected: Any, found: Any) -> Verdict:
    """Compares what two contestants answered.

    Args:
        wish: what they were asked for.
        expected: by the exact one.
        found: by the other.
    """
    if wish == "losses":
        return _by_losses(expected, found)
    return _by_maps(expected, found) if wish == "maps" else _by_boxes(expected, found)


def tolerance_of(wish: Wish) -> str:
    """Says what is near enough, in a sentence."""
    if wish == "losses":
        return f"Near enough: losses within {MAX_LOSS_DIFFERENCE:.0%} of the exact ones."
    if wish == "maps":
        return (
            f"Near enough: the backbone's maps within {MAX_MAPS_DIFFERENCE:.0%} of the exact ones "
            "(the weights are drawn, so that boxes say nothing: give a checkpoint)."
        )
    return (
        f"Near enough: {MIN_AGREEMENT:.0%} of what either finds, weighted by score, the other "
        "finds, too."
    )


def _by_boxes(expected: Any, found: Any) -> Verdict:
    both = agreement(as_detections(expected), as_detections(found))
    if both.share is None:
        return Verdict(False, "no boxes to compare", both.as_dict())
    pixels, score = both.pixels[1], both.score[1]
    told = f"{both.share:.1%} of boxes alike (to {pixels:.2g} px, {score:.2g})"
    return Verdict(both.near_enough, told, both.as_dict())


def _by_maps(expected: Any, found: Any) -> Verdict:
    difference = maps_difference(expected, found)
    told = f"maps differ by {difference:.2g}"
    return Verdict(difference <= MAX_MAPS_DIFFERENCE, told, {"maps_difference": difference})


def _by_losses(expected: Mapping[str, float], found: Mapping[str, float]) -> Verdict:
    total = sum(expected.values())
    difference = abs(sum(found.values()) - total) / abs(total)
    told = f"losses differ by {difference:.2%}"
    near_enough = difference <= MAX_LOSS_DIFFERENCE  # not for NaN
    return Verdict(near_enough, told, {"losses": dict(found), "losses_difference": difference})
