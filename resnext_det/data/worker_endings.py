"""What a loader's worker says when the process it works for is gone. Engine-neutral.

A worker hands its batches over from a thread of `multiprocessing.resource_sharer`. Where the other
process ends in the middle of that (Ctrl-C), the thread prints a traceback through
`sys.excepthook`, which nothing else in a worker reaches: errors of samples travel to that process.
"""

import sys
from types import TracebackType


def quiet_worker(_: int) -> None:
    """Sets a worker up that says nothing when a batch is not fetched to its end."""
    sys.excepthook = _say_unless_hung_up


def _say_unless_hung_up(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not isinstance(error, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)
