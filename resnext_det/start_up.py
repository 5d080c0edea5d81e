"""A training command that is told to stop while it imports its libraries. Engine-neutral.

The imports take seconds, in which a signal would end the process by its own number: a queue would
take that for a failure. Nothing heavy is imported here; see `training.preemption` for what follows.
"""

import contextlib
import os
import signal
from collections.abc import Sequence
from types import FrameType

_STATUS = 75  # EX_TEMPFAIL, as `training.preemption` has it
_STDERR = 2


def leave_when_told(words: Sequence[str]) -> None:
    """Ends this process at SIGTERM or SIGUSR1, while it imports its libraries or after its work.

    An evaluation has nothing to go on with: there the signals do what they do elsewhere.

    Args:
        words: of the command line.
    """
    if "--eval-only" not in words:
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, _leave_at_once)


def _leave_at_once(number: int, _: FrameType | None) -> None:
    text = f"stopped by {signal.Signals(number).name} outside training, nothing is lost\n"
    with contextlib.suppress(OSError):
        os.write(_STDERR, text.encode())
    os._exit(_STATUS)
