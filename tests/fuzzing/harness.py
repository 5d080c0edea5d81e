"""What a fuzzing harness is, and how one input of it is judged. Engine-neutral.

An input ends in "accepted" or in "refused" (a UserError); anything else is a failure: another
exception, more processor time than `Limits.seconds` or more memory than `Limits.memory`.
`python -m tests.fuzzing` finds inputs, `test_corpus` replays some.
"""

import contextlib
import importlib
import io
import logging
import random
import resource
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from resnext_det.errors import UserError

NAMES = ("annotations", "configs", "results", "evaluation")
CORPUS = Path(__file__).with_name("corpus")
ENDS = ("accepted", "refused")
_PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Limits:
    """What one input may take.

    Attributes:
        seconds: of processor time, so that a busy machine fails nothing.
        memory: MiB that it may take beside what the process has before.
    """

    seconds: float = 10.0
    memory: float = 128.0


LIMITS = Limits()


@dataclass(frozen=True)
class Harness:
    """One entry for inputs from strangers.

    Attributes:
        read: takes the input, an empty folder of its own and whether to try what is slow, too; does
            what a user's command does with it. UserError where the input is refused,
            AssertionError where a promise is broken.
        mutate: makes another input of one.
        every: the share of inputs, one in so many, of which a campaign tries what is slow.
    """

    read: Callable[[bytes, Path, bool], None]
    mutate: Callable[[random.Random, bytes], bytes]
    every: int = 1


class TooLongError(BaseException):
    """An input took longer than it may; no reader may catch this."""


def harness_of(name: str) -> Harness:
    """Imports a harness; what it reads with is imported then, so that it can be instrumented."""
    return importlib.import_module(f"tests.fuzzing.{name}").HARNESS


def corpus_of(name: str) -> list[Path]:
    """Returns the files of a harness's corpus, sorted."""
    return sorted(path for path in (CORPUS / name).iterdir() if path.is_file())


def judge(harness: Harness, data: bytes, limits: Limits = LIMITS, *, thorough: bool = True) -> str:
    """Returns "accepted", "refused" or what is wrong: one line that names the place."""
    _forget_peak()
    before = peak_memory()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="fuzz-") as folder,
            _alarm(limits.seconds),
            _quiet(),
        ):
            harness.read(data, Path(folder).resolve(), thorough)
        end = "accepted"
    except UserError:
        end = "refused"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a PanicException of Rust is no Exception
        return _place(error, limits)
    grown = peak_memory() - before
    return end if grown <= limits.memory else f"more than {limits.memory:.0f} MiB of memory"


def peak_memory() -> float:
    """Returns the most MiB that the process has taken, on Linux since the last input began."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        lines = []
    peak = next((line for line in lines if line.startswith("VmHWM:")), None)
    kilobytes = int(peak.split()[1]) if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / 1024


def _forget_peak() -> None:
    with contextlib.suppress(OSError):  # elsewhere only what was never taken before is seen
        Path("/proc/self/clear_refs").write_text("5")


def _place(error: BaseException, limits: Limits) -> str:
    if isinstance(error, TooLongError):
        what = f"more than {limits.seconds:g} s of processor time"
    else:
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    frames = traceback.extract_tb(error.__traceback__)
    there = [f for f in frames if Path(f.filename) != Path(__file__)] or frames
    ours = [f for f in there if Path(f.filename).is_relative_to(_PACKAGE)] or there
    file = Path(ours[-1].filename)
    shown = file.relative_to(_PACKAGE) if file.is_relative_to(_PACKAGE) else file.name
    return f"{what} ({shown}, {ours[-1].name}, line {ours[-1].lineno})"


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raises `TooLongError` after so much processor time; wall time is the caller's to bound."""

    def stop(*_: object) -> None:
        raise TooLongError

    old = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps log and output silent, but has every warning formatted, which can fail as well."""
    logger = logging.getLogger("resnext_det")
    handlers, propagate = logger.handlers[:], logger.propagate
    logger.handlers, logger.propagate = [_Formatting()], False
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools counts aloud
            yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate


class _Formatting(logging.Handler):
    """Formats each record and drops it; an error in that goes on to the caller."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)
