"""A process that is told to stop by SIGTERM or SIGUSR1, and when it may. Engine-neutral.

The training command alone listens (`handled`). In the middle of an iteration or of writing a file
a signal is noted and nothing more; at start-up and in an evaluation, where nothing can be lost, it
ends what is being done. `together` makes several processes of a run do so as one. A second signal
ends the process at once, see `second_signal`.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from types import FrameType
from typing import NoReturn

from resnext_det.training.second_signal import ends_at_second

STATUS = 75
"""Exit status of a run that was told to stop and saved its state: EX_TEMPFAIL of sysexits.h."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Preempted(BaseException):
    """Ends a run that was told to stop; its line, where it has one, is still to be printed.

    Not an Exception: code that lives with any failure of an image must let it pass.
    """


class _Moment(Enum):
    OUTSIDE = "start-up, or after the last checkpoint"
    TRAINING = "an iteration, or a file that is being written"
    EVALUATION = "an evaluation between two iterations"


class Preemption:
    """Whether this process was told to stop, and whether it may leave at this moment.

    Attributes:
        installed: signals are listened to.
        signal: the name of the first that came, to this process or to another of the run.
        agreed: every process of the run stops after the iteration that has just ended.
        over: another process has left the run: nothing of this one's work is of use.
        decides: whether this process may leave an evaluation by itself; of several, the main one
            does, as it writes the files.
        ended: nobody listens any more.
    """

    def __init__(self, *, installed: bool = False) -> None:
        self.installed = installed
        self.signal = ""
        self.agreed = False
        self.over = False
        self.decides = True
        self.ended = threading.Event()
        self._moment = _Moment.OUTSIDE
        self._has_left = False
        self._waking = threading.Lock()

    @property
    def wanted(self) -> bool:
        """Whether the run has to stop."""
        return bool(self.signal)

    @property
    def wishes(self) -> list[bool]:
        """For each of `SIGNALS` whether it is the one that came."""
        return [self.signal == number.name for number in SIGNALS]

    def agree(self, wishes: Sequence[bool]) -> None:
        """Takes in which signals have come to any process, in every process alike."""
        names = [number.name for number, wish in zip(SIGNALS, wishes, strict=True) if wish]
        if names:
            self.agreed = True
            self.signal = self.signal or names[0]

    @property
    def may_leave(self) -> bool:
        """Whether a process of the run may leave at this moment, as nothing can be lost."""
        return self._moment is not _Moment.TRAINING

    @property
    def line(self) -> str:
        """What is said where nothing had to be saved."""
        return (
            f"stopped by {self.signal}, nothing is lost: the same command begins again, or with "
            "--resume goes on where there is a checkpoint"
        )

    def tell(self, name: str) -> None:
        """Takes in a signal, in the main thread; another one changes nothing here.

        Raises:
            Preempted: this process may leave at once.
        """
        self.signal = self.signal or name
        if not self._has_left:
            self.check()

    def wake(self, name: str) -> None:
        """Takes in a signal from another thread: the main one does so in whatever Python code."""
        thread = threading.main_thread().ident
        assert thread is not None
        with self._waking:  # once nobody listens, the signal would kill the process
            if not self.ended.is_set():
                self.signal = self.signal or name
                signal.pthread_kill(thread, signal.SIGUSR1)

    def end(self) -> None:
        """Says that nobody listens any more."""
        with self._waking:
            self.ended.set()

    def check(self) -> None:
        """Leaves where the run has to stop and may.

        Raises:
            Preempted: it does.
        """
        alone = self.decides or self._moment is _Moment.OUTSIDE
        if self.over or (self.wanted and self.may_leave and alone):
            self.leave(self.line)

    def leave(self, line: str = "") -> NoReturn:
        """Leaves; from here on signals change nothing.

        Args:
            line: what is still to be said.

        Raises:
            Preempted: always.
        """
        self._has_left = True
        raise Preempted(line)

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """In the body a signal is noted and breaks nothing off."""
        with self._at(_Moment.TRAINING):
            yield

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """A signal breaks the body off.

        Raises:
            Preempted: there was one, also where something in the body has swallowed it.
        """
        with self._at(_Moment.EVALUATION):
            self.check()
            yield
            self.check()

    @contextmanager
    def _at(self, moment: "_Moment") -> Iterator[None]:
        before, self._moment = self._moment, moment
        try:
            yield
        except Preempted:
            self._moment = before
            raise
        except BaseException:  # something is lost: nobody may say otherwise
            self._moment = _Moment.TRAINING
            raise
        self._moment = before


_current = Preemption()


def current() -> Preemption:
    """Returns this process's; without `handled` it is never told anything."""
    return _current


@contextmanager
def handled() -> Iterator[Preemption]:
    """Listens to SIGTERM and SIGUSR1 in the body; in another thread than the main one does nothing.

    Workers of data loaders that are left are ended: they do not listen to SIGTERM.
    """
    global _current
    if threading.current_thread() is not threading.main_thread():
        yield _current
        return
    outer, mine = _current, Preemption(installed=True)
    take_in = _Handler(mine)
    before = {number: signal.signal(number, take_in) for number in SIGNALS}
    _current = mine
    with ends_at_second(SIGNALS, lambda: mine.over):
        try:
            yield mine
        finally:
            with mine.finishing():
                mine.end()
                _end_loader_workers()
                _current = outer
                for number, handler in before.items():
                    signal.signal(number, handler)


class _Handler:
    """Takes in the signals of this process.

    Attributes:
        ends_workers: loaders' workers may be deaf to signals; see `data.worker_signals`.
    """

    ends_workers = True

    def __init__(self, told: Preemption) -> None:
        self._told, self._process = told, os.getpid()

    def __call__(self, number: int, _: FrameType | None) -> None:
        if os.getpid() == self._process:  # a forked worker has it too, until it is set up
            self._told.tell(signal.Signals(number).name)


def _end_loader_workers() -> None:
    """Kills the daemons among this process's children, for which Python would wait for ever."""
    left = [child for child in multiprocessing.active_children() if child.daemon]
    if not left:
        return
    # Torch's handler would take their end for a failure.
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for child in left:
        child.kill()
    for child in left:
        child.join()
    signal.signal(signal.SIGCHLD, before)
