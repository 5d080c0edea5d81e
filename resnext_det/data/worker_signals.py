"""Signals that reach a loader's workers beside the process they work for. Engine-neutral.

A cluster, `timeout` or a shell may signal all processes of a run; the iteration in
progress can be finished only where the workers live on.
"""

import signal

from resnext_det.data.worker_endings import quiet_worker

_STOP = (signal.SIGTERM, signal.SIGUSR1)  # what a training run saves its state at


def listens() -> bool:
    """Tells whether this process finishes its iteration when it is told to stop."""
    # Says so on the handler: Python waits at its end for ever for workers that nobody kills.
    return all(getattr(signal.getsignal(number), "ends_workers", False) for number in _STOP)


def deaf_worker(number: int) -> None:
    """Sets a worker up that ends when the process it works for ends it, or is gone."""
    quiet_worker(number)
    for stop in _STOP:
        signal.signal(stop, signal.SIG_IGN)
