"""A whole benchmark of one mode, from the first look to the setting to save. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resnext_det.acceleration.machine import save_acceleration
from resnext_det.acceleration.setting import EXACT, Acceleration
from resnext_det.benchmarking.batch_sizes import time_batches
from resnext_det.benchmarking.bench import Bench, median_seconds, warm_up
from resnext_det.benchmarking.judging import tolerance_of, wish_of
from resnext_det.benchmarking.screening import Say, Screened, Screening
from resnext_det.timing.processes import ContestantError, Contestants

_CLOSE, _MOST_FINALISTS = 1.3, 4
"""Settings within this multiple of the fastest are timed once more, and so many at most."""


@dataclass(frozen=True)
class Outcome:
    """What a benchmark of one mode found.

    Attributes:
        mode: of the `Bench`.
        screening: the first look at every setting.
        finals: the fastest settings, the exact one and others' detectors, timed in turn; see
            `Bench.alternate`. Its `skipped` says why some are not among them.
        batches: of the exact setting and the chosen one; see `time_batches`.
        batches_end: why there are no larger ones.
        chosen: the fastest setting that is near enough.
    """

    mode: str
    screening: Screening
    finals: dict[str, Any]
    batches: list[dict[str, Any]]
    batches_end: str
    chosen: Screened

    @property
    def seconds(self) -> dict[str, float]:
        """Medians of the finals by name, the wall clock's."""
        return median_seconds(self.finals)

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for JSON."""
        bench = self.screening.bench
        return {
            "screened": [one.as_dict() for one in self.screening.found],
            "skipped": dict(self.screening.skipped),
            "tolerance": tolerance_of(wish_of(bench.work, bench.mode)),
            "finals": self.finals,
            "batches": self.batches,
            "batches_end": self.batches_end,
            "chosen": self.chosen.setting.words(),
        }


def run_benchmark(
    bench: Bench,
    *,
    settings: Sequence[Acceleration] = (),
    batches: Sequence[int] = (),
    say: Say,
) -> Outcome:
    """Looks at every setting, times the fastest beside others' detectors, then larger batches.

    Args:
        bench: what is timed.
        settings: to look at beside the exact one; all by default.
        batches: numbers of images, the first of which settings are chosen by; none: 1, 2, 4, … up
            to memory.
        say: is told of each step.

    Raises:
        ContestantError: the exact detector does not run here.
    """
    first = batches[0] if batches else 1
    screening = Screening(bench, first, say)
    screening.run(settings)
    finals = _finals(bench, _finalists(screening), first)
    medians = median_seconds(finals)
    chosen = min(
        (s for s in screening.found if s.verdict.near_enough and s.setting.words() in medians),
        key=lambda one: medians[one.setting.words()],
    )
    for name, seconds in medians.items():
        say(f"in turn: {name}: {1000 * seconds:.1f} ms")
    shown = list(dict.fromkeys((EXACT, chosen.setting)))
    larger, why = time_batches(bench, shown, batches, first, say)
    return Outcome(bench.mode, screening, finals, larger, why, chosen)


def save_outcome(outcome: Outcome) -> str:
    """Saves the chosen setting as the machine's, and returns the file's name.

    Raises:
        UserError: see `save_acceleration`.
    """
    bench, words = outcome.screening.bench, outcome.chosen.setting.words()
    image = bench.work.images[0]
    measured = {
        "seconds": outcome.seconds[words],
        "exact_seconds": outcome.seconds[EXACT.words()],
        "batch": outcome.finals["batch"],
        "image": list(image.shape[:2]),
        "judged_by": outcome.chosen.verdict.told,
    }
    return str(save_acceleration(outcome.chosen.setting, bench.device, bench.mode, measured))


def _finalists(screening: Screening) -> list[Acceleration]:
    """Returns the exact setting and the fastest near it, and one that is fast but not near."""
    able = sorted(
        (one for one in screening.found if one.verdict.near_enough), key=lambda one: one.seconds
    )
    close = [one for one in able if one.seconds <= _CLOSE * able[0].seconds][:_MOST_FINALISTS]
    fastest = screening.fastest()
    also = [fastest] if fastest is not None and not fastest.verdict.near_enough else []
    return list(dict.fromkeys((EXACT, *(one.setting for one in (*close, *also)))))


def _finals(bench: Bench, settings: Sequence[Acceleration], batch: int) -> dict[str, Any]:
    builders = {setting.words(): bench.ours(setting) for setting in settings} | bench.peers()
    exact = EXACT.words()
    with Contestants() as contestants:
        # First, so that none takes the memory of what all are compared with.
        contestants.open({exact: bench.contestant(builders.pop(exact))}, warm_up(batch))
        if exact in contestants.skipped:
            raise ContestantError(contestants.skipped[exact])
        contestants.open({n: bench.contestant(b) for n, b in builders.items()}, warm_up(batch))
        return bench.alternate(contestants, batch) | {"skipped": contestants.skipped}
