"""What a benchmark times in one mode: ours under any setting, and others'. Engine-neutral."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from resnext_det.acceleration.machine import Mode
from resnext_det.acceleration.setting import EXACT, Acceleration
from resnext_det.benchmarking.contestants import (
    PRELOAD,
    Detectron2,
    OurBackbone,
    Ours,
    Request,
    TimmBackbone,
    TorchvisionDetector,
    Training,
)
from resnext_det.benchmarking.work import Work
from resnext_det.timing.alternation import CLOCKS, CUDA_CLOCKS, Rounds, alternate_measures
from resnext_det.timing.intervals import median_interval
from resnext_det.timing.processes import Act, Contestant, Contestants

Build = Callable[[], Act]
THEIRS, TORCHVISION = "Detectron2", "torchvision's Faster R-CNN"
TIMM, BACKBONE = "timm's backbone alone", "our backbone alone, exact"
WARM_UP = 2


@dataclass(frozen=True)
class Bench:
    """One mode of a detector on a device.

    Attributes:
        work: weights and images.
        mode: forward passes or training steps.
        device: of the machine.
        folder: takes training images.
        rounds: in which contestants take turns.
    """

    work: Work
    mode: Mode
    device: torch.device
    folder: Path
    rounds: int

    def ours(self, setting: Acceleration = EXACT) -> Build:
        """Returns what builds this project's detector under a setting."""
        if self.mode == "training":
            folder = self.folder / setting.words().replace(" ", "-")
            return Training(self.work, "portable", folder, setting)
        return Ours(self.work, "portable", setting)

    def peers(self) -> dict[str, Build]:
        """Returns what builds the others' by name; some may not be installed."""
        if self.mode == "training":
            folder = self.folder / "theirs"
            return {THEIRS: Training(self.work, "d2", folder, theirs=True)}
        return {
            THEIRS: Detectron2(self.work),
            TORCHVISION: TorchvisionDetector(self.work),
            BACKBONE: OurBackbone(self.work, "portable"),
            TIMM: TimmBackbone(self.work),
        }

    def contestant(self, build: Build) -> Contestant:
        """Returns a contestant, not yet open, in a process of its own."""
        return Contestant(build, cuda=self.device.type == "cuda", preload=PRELOAD)

    def alternate(
        self, contestants: Contestants, batch: int, rounds: int | None = None
    ) -> dict[str, Any]:
        """Times contestants that are open, in turn.

        Returns:
            `batch`; `clocks`: clock -> name -> median seconds with their interval; `rounds`.
        """
        request = Request(batch)
        opened = contestants.opened
        measures = {name: lambda c=c: c.ask(request).seconds for name, c in opened.items()}
        clocks = CUDA_CLOCKS if self.device.type == "cuda" else CLOCKS
        number = self.rounds if rounds is None else rounds
        found = alternate_measures(measures, number, clocks)
        return {"batch": batch, "clocks": medians(found), "rounds": found}


def medians(rounds: Rounds) -> dict[str, Any]:
    """Returns clock -> name -> the median of its seconds with a 95 % interval."""
    return {
        clock: {n: asdict(median_interval([r[n] for r in found])) for n in found[0]}
        for clock, found in rounds.items()
        if found
    }


def median_seconds(timed: Mapping[str, Any]) -> dict[str, float]:
    """Returns the medians of the wall clock of what `Bench.alternate` returned."""
    return {name: found["median"] for name, found in timed["clocks"]["wall"].items()}


def warm_up(batch: int) -> Sequence[Request]:
    """Returns the requests before anything is timed: caches fill, graphs are recorded."""
    return [Request(batch)] * WARM_UP
