"""One batch size of whole detectors: who is timed, and what they find. Engine-neutral."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from resnext_det.acceleration.setting import EXACT, Acceleration
from resnext_det.benchmarking.agreement import agreement, maps_difference
from resnext_det.benchmarking.contestants import (
    PRELOAD,
    Detectron2,
    Ours,
    Request,
    as_detections,
)
from resnext_det.benchmarking.work import Work
from resnext_det.engines.base import detectron2_is_installed
from resnext_det.timing.alternation import CLOCKS, CUDA_CLOCKS, Rounds, alternate_measures
from resnext_det.timing.intervals import median_interval, ratio
from resnext_det.timing.processes import Act, Contestant, Contestants

Case = dict[str, Any]
THEIRS, HALF = "Detectron2", "Detectron2, bfloat16 autocast"
ABSENT = "Detectron2 is not installed"


@dataclass(frozen=True)
class Subject:
    """What is timed, and how long.

    Attributes:
        work: weights and images.
        rounds: of each case.
        warm_up: steps of each contestant before them.
    """

    work: Work
    rounds: int
    warm_up: int

    @property
    def cuda(self) -> bool:
        """Whether a GPU computes."""
        return self.work.cfg.MODEL.DEVICE.startswith("cuda")

    def contestant(self, build: Callable[[], Act]) -> Contestant:
        """Returns a contestant, not yet open, in a process of its own."""
        return Contestant(build, cuda=self.cuda, preload=PRELOAD)


def ours(setting: Acceleration) -> str:
    """Names one of ours."""
    return f"ours, {setting.words()}"


def inference_cases(
    subject: Subject,
    settings: Sequence[Acceleration],
    batches: Sequence[int],
    roofline: Mapping[str, Any],
) -> Iterator[Case]:
    """Times inference, and compares what is found with what Detectron2 finds.

    Args:
        subject: what is timed.
        settings: of ours, beside the exact one.
        batches: numbers of images.
        roofline: of one image; see `projects.SpeedComparison.roofline`.
    """
    work = subject.work
    builders: dict[str, Callable[[], Act]] = {THEIRS: Detectron2(work)}
    builders[HALF] = Detectron2(work, half=True)
    builders |= {ours(s): Ours(work, "portable", s) for s in (EXACT, *settings)}
    with Contestants() as contestants:
        _open(subject, contestants, builders)
        for batch in batches:
            case = _timed(subject, contestants, batch) | _likeness(subject, contestants, batch)
            _add_share_of_bound(case, roofline)
            yield case


def summary(rounds: Rounds) -> dict[str, Any]:
    """Returns clock -> name -> `seconds`, and `speed`: how many times as fast as Detectron2.

    Both are medians over the rounds with 95 % intervals; the speed is null without Detectron2.
    """
    return {
        clock: {
            name: {
                "seconds": asdict(median_interval([round_[name] for round_ in found])),
                "speed": asdict(ratio(found, THEIRS, name)) if THEIRS in found[0] else None,
            }
            for name in found[0]
        }
        for clock, found in rounds.items()
    }


def _open(
    subject: Subject, contestants: Contestants, builders: Mapping[str, Callable[[], Act]]
) -> None:
    """Opens those that can be built here."""
    absent = set() if detectron2_is_installed() else {THEIRS, HALF} & builders.keys()
    contestants.skipped |= dict.fromkeys(sorted(absent), ABSENT)
    contestants.open(
        {name: subject.contestant(b) for name, b in builders.items() if name not in absent}
    )


def _timed(subject: Subject, contestants: Contestants, batch: int) -> Case:
    request, opened = Request(batch), contestants.opened
    for contestant in opened.values():
        for _ in range(subject.warm_up):
            contestant.ask(request)
    measures = {name: lambda c=c: c.ask(request).seconds for name, c in opened.items()}
    clocks = CUDA_CLOCKS if subject.cuda else CLOCKS
    rounds = alternate_measures(measures, subject.rounds, clocks)
    skipped = dict(contestants.skipped)
    return {"batch": batch, "skipped": skipped, "clocks": summary(rounds), "rounds": rounds}


def _likeness(subject: Subject, contestants: Contestants, batch: int) -> dict[str, Any]:
    """Compares boxes with Detectron2's, and maps with those of our exact detector."""
    opened, exact = contestants.opened, ours(EXACT)
    asked = Request(batch, "boxes")
    found = {name: as_detections(c.ask(asked).value) for name, c in opened.items()}
    asked = Request(batch, "maps")
    maps = {n: c.ask(asked).value for n, c in opened.items() if n not in (THEIRS, HALF)}
    against = THEIRS if THEIRS in found else exact
    boxes = {
        name: {"against": against, **agreement(found[against], of_name).as_dict()}
        for name, of_name in found.items()
    }
    case = {"boxes": boxes, "maps": {n: maps_difference(maps[exact], m) for n, m in maps.items()}}
    if THEIRS in opened and not subject.cuda:
        case["spread"] = _spread(subject, found[THEIRS], batch)
    return case


def _spread(subject: Subject, found: Any, batch: int) -> dict[str, Any]:
    """How far Detectron2's own boxes lie apart with one thread and with all."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)  # which the contestant takes over
        contestant = subject.contestant(Detectron2(subject.work))
    finally:
        torch.set_num_threads(threads)
    with contestant:
        alone = as_detections(contestant.ask(Request(batch, "boxes")).value)
    return {"threads": [threads, 1], **agreement(found, alone).as_dict()}


def _add_share_of_bound(case: Case, roofline: Mapping[str, Any]) -> None:
    """Adds how near each comes to the least time of its number format, by the wall clock."""
    for name, times in case["clocks"]["wall"].items():
        dtype = "bfloat16" if "float16" in name else "float32"
        least = case["batch"] * roofline["bound_seconds"][dtype]
        times["share_of_bound"] = least / times["seconds"]["median"]
