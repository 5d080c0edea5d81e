"""A first look at every setting: how fast, and whether near enough. Engine-neutral."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from resnext_det.acceleration.setting import EXACT, PRECISIONS, Acceleration
from resnext_det.benchmarking.bench import WARM_UP, Bench
from resnext_det.benchmarking.candidates import additions, grid, why_not
from resnext_det.benchmarking.contestants import Request
from resnext_det.benchmarking.judging import Verdict, judge, wish_of
from resnext_det.errors import UserError
from resnext_det.timing.processes import ContestantError

_TRIES = 2
_HOPELESS = 2.0
"""So many times the fastest's seconds: nothing is added to such a precision."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Screened:
    """One setting that runs here.

    Attributes:
        setting: it.
        seconds: the least of some steps.
        verdict: whether it computes the same as the exact one.
        peak: the most bytes that its process held.
    """

    setting: Acceleration
    seconds: float
    verdict: Verdict
    peak: int

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for JSON."""
        return {
            "setting": self.setting.words(),
            "seconds": self.seconds,
            "near_enough": self.verdict.near_enough,
            "peak_bytes": self.peak,
            **self.verdict.details,
        }


@dataclass
class Screening:
    """All settings that were looked at.

    Attributes:
        bench: what is timed.
        batch: number of images.
        say: is told of each.
        found: those that run here, the exact one first.
        skipped: words of the others -> why.
    """

    bench: Bench
    batch: int
    say: Say
    found: list[Screened] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    _exact: Any = None

    def run(self, settings: Sequence[Acceleration] = ()) -> None:
        """Looks at the exact setting and at those given, by default at all that come to mind.

        Raises:
            ContestantError: the exact one does not run.
            UserError: there is nothing in its answer that others could be compared with.
        """
        self._take(EXACT)
        mode, device = self.bench.mode, self.bench.device
        for setting in settings or grid(mode, device):
            if setting != EXACT:
                self.look(setting)
        if settings:
            return
        for precision in PRECISIONS:
            self._add(precision)

    def _add(self, precision: str) -> None:
        """Adds one switch upon another to the fastest setting of a precision."""
        best, fastest = self.fastest(precision), self.fastest()
        if best is None or fastest is None or best.seconds > _HOPELESS * fastest.seconds:
            return
        for name in additions(self.bench.mode, self.bench.device):
            setting = replace(best.setting, **{name: True})
            if why_not(setting, self.bench.device, self.bench.mode) is None:
                self.look(setting)
                best = self.fastest(precision) or best

    def look(self, setting: Acceleration) -> None:
        """Looks at one setting; what it lacks is noted."""
        try:
            self._take(setting)
        except ContestantError as error:
            self.skipped[setting.words()] = str(error)
            self.say(f"{setting.words()}: left out: {error}")

    def fastest(self, precision: str = "", *, near_enough: bool = False) -> Screened | None:
        """Returns the fastest of a precision, or of all."""
        found = [
            one
            for one in self.found
            if precision in ("", one.setting.precision)
            and (one.verdict.near_enough or not near_enough)
        ]
        return min(found, key=lambda one: one.seconds, default=None)

    def _take(self, setting: Acceleration) -> None:
        wish = wish_of(self.bench.work, self.bench.mode)
        with self.bench.contestant(self.bench.ours(setting)) as contestant:
            answer = contestant.ask(Request(self.batch, wish))
            if setting == EXACT:
                self._exact = answer.value
            verdict = judge(wish, self._exact, answer.value)
            if setting == EXACT and not verdict.near_enough:
                raise UserError(
                    f"the exact detector itself cannot be judged ({verdict.told}): give --images "
                    "FOLDER with images such as it was trained on"
                )
            answers = [contestant.ask(Request(self.batch)) for _ in range(WARM_UP + _TRIES)]
        seconds = min(answer.seconds["wall"] for answer in answers[WARM_UP:])
        self.found.append(Screened(setting, seconds, verdict, answers[-1].peak))
        self.say(f"{setting.words()}: {1000 * seconds:.1f} ms, {verdict.told}")
