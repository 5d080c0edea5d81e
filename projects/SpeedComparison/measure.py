"""All cases of one net: what the contestants compute, and how long they take. Engine-neutral."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from projects.SpeedComparison.contestants import (
    Setting,
    build_contestants,
    config,
    write_images,
)
from projects.SpeedComparison.operations import operations, python_calls
from projects.SpeedComparison.verdict import UNDECIDED, judge
from resnext_det.timing.alternation import Rounds, alternate

PARTS, MODES = ("detector", "backbone"), ("train", "infer")
Row = dict[str, Any]
Steps = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Effort:
    """What to measure, and how long.

    Attributes:
        parts: any of PARTS.
        modes: any of MODES.
        rounds: for each case and each build of the models.
        builds: times that the models are built anew: where they lie in memory matters.
        max_builds: for cases that stay undecided.
    """

    parts: Sequence[str]
    modes: Sequence[str]
    rounds: int
    builds: int
    max_builds: int


def measure_net(net: str, norm: str, setting: Setting, effort: Effort, folder: Path) -> list[Row]:
    """Measures the detector and the backbone of one net, in training and in inference."""
    dataset = write_images(folder, setting, setting.batch)
    cfg = config(net, norm, setting)
    pairs = itertools.product(effort.parts, effort.modes)
    rows: list[Row] = [{"net": net, "norm": norm, "what": w, "mode": m} for w, m in pairs]
    for build in range(effort.max_builds):
        open_rows = [row for row in rows if build < effort.builds or undecided(row)]
        if not open_rows:
            break
        contestants = build_contestants(cfg, dataset)
        for row in open_rows:
            row["largest_difference"] = difference(
                contestants["theirs"].maps(), contestants["ours"].maps()
            )
            steps = {n: c.step(row["what"], row["mode"]) for n, c in contestants.items()}
            add_rounds(row, steps, effort.rounds, cuda=setting.device != "cpu")
    return rows


def add_rounds(row: Row, steps: Steps, rounds: int, *, cuda: bool) -> None:
    """Counts and times a case, and judges it by all its rounds until now."""
    row |= compare_operations({name: operations(step) for name, step in steps.items()})
    row["python_calls"] = {name: python_calls(step) for name, step in steps.items()}
    kept: Rounds = row.pop("rounds", {})
    for clock, found in alternate(steps, rounds, cuda=cuda).items():
        kept.setdefault(clock, []).extend(found)
    row["clocks"] = {clock: judge(found) for clock, found in kept.items()}
    row["rounds"] = kept


def undecided(row: Row) -> bool:
    """Tells whether a case is undecided on any clock."""
    return UNDECIDED in [found["verdict"] for found in row["clocks"].values()]


def difference(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> float:
    """Returns the largest difference of the maps, as a share of the largest value."""
    assert theirs.keys() == ours.keys()
    return max(float((ours[k] - v).abs().max() / v.abs().max()) for k, v in theirs.items())


def compare_operations(found: dict[str, Any]) -> dict[str, Any]:
    """Says how many operations each issues, and which only one of theirs and ours does."""
    theirs, ours = found["theirs"], found["ours"]
    return {
        "operations": {"theirs": theirs.total(), "ours": ours.total()},
        "operations_unlike": [str(entry) for entry in (theirs - ours) + (ours - theirs)],
    }
