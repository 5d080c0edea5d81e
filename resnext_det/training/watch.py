"""Processes that another program started: the failure of one ends all, in one line. Engine-neutral.

torchrun ends the others of a machine by itself; srun leaves them waiting.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist

from resnext_det.errors import UserError
from resnext_det.training.place import Place
from resnext_det.training.rendezvous import part, report_failure, reported_failure

PERIOD, GRACE = 1.0, 3.0
"""Seconds between two looks at the others, and those a process has to end by itself."""
END = 60.0
"""Seconds by which the last process may come to the end of a run after the first."""


@contextmanager
def ends_with_the_others(store: dist.Store, place: Place) -> Iterator[None]:
    """Ends this process soon after another has failed, and the others if this one fails.

    The first to fail raises what it raised; any other, which mostly has lost its connection to
    that one, ends without a word.

    Args:
        store: where the processes met.
        place: this process.

    Raises:
        SystemExit: the body failed after another process had.
    """
    stop = threading.Event()
    watch = threading.Thread(target=_watch, args=(store.clone(), place.rank, stop), daemon=True)
    watch.start()
    patience = 2 * GRACE
    try:
        yield
        patience = END
    except (UserError, FloatingPointError, KeyboardInterrupt) as error:
        if not report_failure(store, _line(error), place.rank):
            raise SystemExit(1) from None
        raise
    except Exception as error:
        if failed_elsewhere(store, place.rank, GRACE) is not None:
            raise SystemExit(1) from None
        report_failure(store, _line(error), place.rank)
        raise
    finally:
        stop.set()
        watch.join(2 * PERIOD)
        part(store, place.world_size - 1, hosts=place.rank == 0, timeout=patience)


def failed_elsewhere(store: dist.Store, place: int, patience: float) -> str | None:
    """Returns what another process failed with, waiting up to `patience` seconds for it to tell."""
    end = time.monotonic() + patience
    while True:
        try:
            found = reported_failure(store, place)
        except dist.DistError:
            found = "where the processes met is gone"
        if found is not None or time.monotonic() >= end:
            return found
        time.sleep(0.1)


def _watch(store: dist.Store, rank: int, stop: threading.Event) -> None:
    while not stop.wait(PERIOD):
        try:
            if reported_failure(store, rank) is None:
                continue
        except dist.DistError:
            if stop.wait(GRACE):
                return
            print("error: the process of rank 0 is gone", file=sys.stderr, flush=True)
        if not stop.wait(GRACE):
            os._exit(1)  # the main thread may be waiting for a process that is no more


def _line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
