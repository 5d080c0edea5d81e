"""A second signal ends a run that was told to stop, whatever it is doing. Engine-neutral.

Python calls a handler between two steps of its own, and a process that waits for another in a
collective takes none. So a thread is told of the signals that come (`signal.set_wakeup_fd`).
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

SAME = 3.0
"""Seconds in which another signal is taken for the first, come by another way: a shell, a cluster
or torchrun may signal a process itself and also the one that started it, which passes it on."""


@contextmanager
def ends_at_second(numbers: Collection[int], is_ending: Callable[[], bool]) -> Iterator[None]:
    """Ends this process in the body at the second signal; in the main thread only.

    Args:
        numbers: of the signals.
        is_ending: whether the process ends by itself, however many signals come.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)  # as it must be
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=_read, args=(reader, numbers, is_ending), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.write(writer, b"\0")  # a forked process may hold the pipe open
        thread.join()
        os.close(reader)
        os.close(writer)


def _read(reader: int, numbers: Collection[int], is_ending: Callable[[], bool]) -> None:
    first: float | None = None
    while 0 not in (came := os.read(reader, 64)):
        for number in came:
            if number not in numbers:
                continue
            first = first or time.monotonic()
            if time.monotonic() - first >= SAME and not is_ending():
                _end(number)


def _end(number: int) -> None:
    """Ends the process, and those that it started, as if nobody listened to the signal."""
    name = signal.Signals(number).name
    text = f"ended by a second signal, {name}: nothing after the last checkpoint is kept\n"
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), text.encode())
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(128 + number)  # as a shell names the end by a signal


def _leave_to_parent() -> None:
    """A forked process does not write into the pipe of the one that it comes from."""
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_leave_to_parent)
