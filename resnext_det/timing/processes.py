"""Contestants of a timing, each in a process of its own. Engine-neutral.

What one of them sets for its process (how memory is kept, what cuDNN has measured, compiled code)
changes nothing for the others, its peak of memory is its own, and one that the system ends for
want of memory takes none along. All wait while one is at work.
"""

import multiprocessing
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

import torch

from resnext_det.timing.alternation import seconds_of

Act = Callable[[Any], object]
"""From a request to its answer; both without tensors, which would be shared instead of sent."""
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
_PATIENCE = 5.0
"""Seconds that one has to end by itself."""


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        seconds: by clock.
        value: what was asked for.
        peak: the most bytes that the process has held by then: of the GPU, or of memory.
    """

    seconds: dict[str, float]
    value: Any
    peak: int


class ContestantError(Exception):
    """A contestant that cannot be built, or not go on, in one line.

    Attributes:
        out_of_memory: whether memory is what it lacks.
    """

    def __init__(self, reason: str, out_of_memory: bool = False) -> None:
        super().__init__(reason, out_of_memory)  # both, to be pickled
        self.out_of_memory = out_of_memory

    def __str__(self) -> str:
        return self.args[0]


class Contestant:
    """One process that answers requests, one after the other. Use it in a `with`.

    Args:
        build: makes what answers; it is sent to the process, so it has to be picklable.
        cuda: whether it computes on a GPU.
        preload: modules that the processes share from their start.

    Attributes:
        base: the bytes that it holds once it is built.

    Raises:
        ContestantError: on entering, what it lacks.
    """

    def __init__(
        self, build: Callable[[], Act], *, cuda: bool = False, preload: Sequence[str] = ()
    ) -> None:
        # Forked from a server that has imported and computed nothing, it starts at once, and CUDA
        # can be used in it.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["torch", *preload])
        self._connection, self._theirs = context.Pipe()
        arguments = (self._theirs, build, cuda, torch.get_num_threads())
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self.base = 0

    def start(self) -> None:
        """Has it build itself, while others do; entering waits for its end."""
        self._process.start()
        self._theirs.close()  # so that its end is noticed

    def __enter__(self) -> Self:
        try:
            if self._process.pid is None:
                self.start()
            self.base = self._receive().peak
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def ask(self, request: Any = None) -> Answer:
        """Has it answer, and waits.

        Raises:
            ContestantError: it could not, or has been ended.
        """
        try:
            self._connection.send(request)
        except BrokenPipeError as error:
            raise self._ended() from error
        return self._receive()

    def close(self) -> None:
        """Ends it, within seconds, whatever it is at: compiling takes minutes."""
        self._connection.close()  # on which it ends
        if self._process.pid is not None:
            self._process.join(_PATIENCE)
            if self._process.exitcode is None:
                self._process.kill()
                self._process.join()

    def _receive(self) -> Answer:
        try:
            answer = self._connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise self._ended() from error
        if isinstance(answer, ContestantError):
            raise answer
        return answer

    def _ended(self) -> ContestantError:
        self._process.join()
        code = self._process.exitcode or 0
        # Linux ends whom it has no memory for by the signal KILL.
        told = f"by signal {-code}" if code < 0 else f"with status {code}"
        return ContestantError(f"its process ended {told}", out_of_memory=code == -9)


class Contestants:
    """Several contestants that are open together. Use it in a `with`.

    Attributes:
        opened: by name, in the order of opening.
        skipped: name -> why it could not be opened, in one line.
    """

    def __init__(self) -> None:
        self.opened: dict[str, Contestant] = {}
        self.skipped: dict[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def open(self, contestants: Mapping[str, Contestant], warm_up: Sequence[Any] = ()) -> None:
        """Opens some, which build themselves side by side, and has each answer what is not timed.

        Args:
            contestants: by name, not open yet.
            warm_up: the requests.
        """
        try:
            for contestant in contestants.values():
                contestant.start()
            for name, contestant in contestants.items():
                self._enter(name, contestant, warm_up)
        except BaseException:
            for contestant in contestants.values():
                contestant.close()
            raise

    def _enter(self, name: str, contestant: Contestant, warm_up: Sequence[Any]) -> None:
        try:
            self._stack.enter_context(contestant)
            for request in warm_up:
                contestant.ask(request)
        except ContestantError as error:
            self.skipped[name] = str(error)
            contestant.close()
        else:
            self.opened[name] = contestant


def _serve(connection: Connection, build: Callable[[], Act], cuda: bool, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends when the one that asks does
    torch.set_num_threads(threads)
    try:
        act = build()
    except Exception as error:
        connection.send(_reason(error))
        return
    connection.send(Answer({}, None, _peak(cuda)))
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        connection.send(_answer(act, request, cuda))


def _answer(act: Act, request: Any, cuda: bool) -> "Answer | ContestantError":
    values: list[object] = []
    try:
        seconds = seconds_of(lambda: values.append(act(request)), cuda=cuda)
    except Exception as error:
        return _reason(error)
    return Answer(seconds, values[0], _peak(cuda))


def _reason(error: Exception) -> ContestantError:
    told = str(error).strip().splitlines()
    kind = "" if type(error).__module__.startswith("resnext_det") else f"{type(error).__name__}: "
    lacks = isinstance(error, MemoryError | torch.OutOfMemoryError)
    lacks = lacks or any(words in str(error) for words in _OUT_OF_MEMORY)
    return ContestantError(f"{kind}{told[0] if told else 'no reason given'}", out_of_memory=lacks)


def _peak(cuda: bool) -> int:
    if cuda:
        return torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
