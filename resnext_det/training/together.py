"""Several processes of a run that are told to stop, as one. Engine-neutral.

In training, the wish to stop travels with the losses, which are averaged over the processes in
every iteration anyway (`distributed.mean_over_processes`): all learn of it in the same one. In an
evaluation, where a process may wait for the others for long, the main one breaks off alone and
saves what all have trained, and then the others end.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch.distributed as dist

from resnext_det.training.preemption import STATUS, Preempted, Preemption, current

_WANTED, _LEFT, _GATHERED = (f"resnext_det/{word}" for word in ("wanted", "left", "gathered"))
_PERIOD, _GRACE = 0.5, 3.0
"""Seconds between two looks at the others, and those a process has to end by itself."""
_PAUSE = 0.02
_store: dist.Store | None = None
_num_gathered = 0


@contextmanager
def stops_together(store: dist.Store, rank: int) -> Iterator[None]:
    """Tells the others when this process is told to stop, and the other way round.

    Args:
        store: where they met.
        rank: this process.

    Raises:
        Preempted: also in place of a failure, after another process has left the run.
    """
    global _store, _num_gathered
    told = current()
    if not told.installed:
        yield
        return
    _store, _num_gathered = store, 0
    stop, has_left = threading.Event(), threading.Event()
    listener = _Listener(told, store.clone(), rank, stop, has_left)
    threading.Thread(target=listener.run, daemon=True).start()
    try:
        yield
        stop.set()
    except Preempted:  # the listener stays: the end of the process can hang, too
        has_left.set()
        say_left(store)
        if rank:
            raise Preempted from None  # one of all says so
        raise
    except Exception:
        stop.set()
        name = _left_by(store)
        if name is None:
            raise
        told.signal = told.signal or name
        raise Preempted("" if rank or told.agreed else told.line) from None
    finally:
        _store = None


def say_left(store: dist.Store) -> None:
    """Tells the others that this process has left the run, as it was told to."""
    with suppress(dist.DistError):  # gone, and so are the others
        store.set(_LEFT, current().signal)


def await_others(total: int) -> None:
    """Lets the main process wait for the others where a signal reaches it, not in a collective.

    Call it before the collective; it does nothing while no process may leave alone.

    Args:
        total: the processes that come.
    """
    global _num_gathered
    told, store = current(), _store
    if store is None or not told.may_leave:
        return
    _num_gathered += 1
    key = f"{_GATHERED}/{_num_gathered}"
    arrived = store.add(key, 1)
    while told.decides and arrived < total:
        time.sleep(_PAUSE)
        arrived = store.add(key, 0)


class _Listener:
    """Looks at what the others say, in a thread of its own."""

    def __init__(
        self,
        told: Preemption,
        store: dist.Store,
        rank: int,
        stop: threading.Event,
        has_left: threading.Event,
    ) -> None:
        self._told, self._store, self._rank = told, store, rank
        self._stop, self._has_left = stop, has_left

    def run(self) -> None:
        told, said = self._told, False
        try:
            while not (self._stop.wait(_PERIOD) or told.ended.is_set()):
                if told.wanted and not said:
                    self._store.set(_WANTED, told.signal)
                    said = True
                elif not told.wanted and self._store.check([_WANTED]):
                    told.wake(self._store.get(_WANTED).decode())
                if self._store.check([_LEFT]):
                    self._end()
                    return
        except dist.DistError:
            return  # who watches for failures will say so

    def _end(self) -> None:
        """Ends this process, which may be waiting for one that is no more."""
        told = self._told
        by_itself = told.agreed or self._has_left.is_set()
        if not by_itself:
            told.over = True
            told.wake(self._store.get(_LEFT).decode())
        # Who leaves by itself may still have something to say, and the store to keep.
        seconds = 3 * _GRACE if by_itself else _GRACE
        if told.ended.wait(seconds) or self._stop.is_set():
            return
        if self._rank == 0 and not by_itself:
            print(told.line, file=sys.stderr, flush=True)
        os._exit(STATUS)


def _left_by(store: dist.Store) -> str | None:
    """The signal that another process has left by."""
    with suppress(dist.DistError):
        return store.get(_LEFT).decode() if store.check([_LEFT]) else None
    return None
