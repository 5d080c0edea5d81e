"""What each process that is started for a run does at its begin and its end. Engine-neutral."""

import atexit
import contextlib
import ctypes
import faulthandler
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

_LINE = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<function>.+)$', re.M)
_PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent dies."""


def hear_one_interrupt() -> None:
    """Has the first Ctrl-C end this process, and further ones not disturb it in that.

    One comes from the terminal, another from the process that started this one, which cannot know
    of the first, and ends by force whoever stays.
    """

    def interrupt(number: int, _: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


def die_with_parent() -> None:
    """Ends this process when the one that started it is killed and cannot end it itself.

    Linux alone can do so; elsewhere the process goes on until the others miss it.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def leave(status: int) -> NoReturn:
    """Ends this process as one that was forked ends: without taking the interpreter apart.

    Taking it apart destroys objects of C++ that threads of its own (gloo's, autograd's) may be
    using, while the connections to the other processes break off; and with torch it takes a
    second. Threads that are no daemons are waited for, what is registered with `atexit` is done,
    and streams are flushed, C's too; where one cannot be, the status is 1 instead of 0.
    """
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]: as multiprocessing does
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()  # as the end of the interpreter begins
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # full, closed, or none
            status = status or int(stream is not None and not stream.closed)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)
    os._exit(status)


@contextmanager
def crashes_told(folder: Path, rank: int) -> Iterator[None]:
    """In the body, a crash leaves in the folder where each thread was: see `crash_of`."""
    with open(_path(folder, rank), "w") as file:
        faulthandler.enable(file)
        try:
            yield
        finally:
            faulthandler.disable()


def crash_of(folder: Path, rank: int) -> tuple[str, str]:
    """Returns what a process has left that a signal of its own, as SIGABRT, has ended.

    Returns:
        The innermost line of Python at which it was, as "file.py:12, in name", empty where it was
        in a thread of a library; and the whole text, empty after SIGKILL.
    """
    try:
        text = _path(folder, rank).read_text(errors="replace")
    except OSError:
        return "", ""
    _, _, current = text.partition("Current thread")  # none where it is a library's own
    found = _LINE.search(current.partition("\n\n")[0])
    if found is None:
        return "", text
    return f"{Path(found['file']).name}:{found['line']}, in {found['function']}", text


def _path(folder: Path, rank: int) -> Path:
    return folder / f"{rank}.crash"
