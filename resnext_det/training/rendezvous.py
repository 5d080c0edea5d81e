"""Where the processes of a run meet, and how one's failure reaches the others. Engine-neutral."""

import errno
import socket
import time
from collections.abc import Callable
from datetime import timedelta

import torch.distributed as dist

from resnext_det.errors import UserError

_FAILED, _FINISHED = "resnext_det/failed", "resnext_det/finished"
_ANSWER = timedelta(seconds=60)
"""How long a store that is there may take to answer."""
_PAUSE = 0.2
"""Seconds between two looks at who has come."""


def host_store(host: str, port: int, source: str) -> dist.TCPStore:
    """Opens the place where the processes meet.

    Args:
        host: this machine's address, as the others know it.
        port: 0 for any that is free.
        source: the option or variable that names the port, for the message.

    Raises:
        UserError: the port is taken.
    """
    _check_free(port, source)
    try:
        return dist.TCPStore(host, port, None, True, _ANSWER, wait_for_workers=False)
    except dist.DistError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{source}: cannot wait for the others at port {port}: {reason}") from error


def find_store(host: str, port: int, timeout: float) -> dist.TCPStore:
    """Connects to where the processes meet; waits up to `timeout` seconds for it to open.

    Raises:
        UserError: nobody answers there.
    """
    end = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((host, port), timeout=5).close()
            return dist.TCPStore(host, port, None, False, _ANSWER, wait_for_workers=False)
        except (OSError, dist.DistError) as error:
            if time.monotonic() >= end:
                reason = error.strerror if isinstance(error, OSError) else None
                raise UserError(
                    f"nobody answers at {host}:{port} after {timeout:g} s "
                    f"({reason or str(error).splitlines()[0]}): does the command run on that "
                    "machine, as the first one, and do the others reach its port?"
                ) from None
        time.sleep(_PAUSE)


def meet(store: dist.Store, what: str, number: int, total: int, timeout: float) -> list[str]:
    """Waits until everybody is here, so that whoever does not come can be named.

    Args:
        store: where they meet.
        what: "machine" or "rank".
        number: this one's, 0 … total - 1.
        total: how many have to come.
        timeout: seconds.

    Returns:
        The host name of each.

    Raises:
        UserError: some have not come.
    """
    keys = [f"resnext_det/{what}/{i}" for i in range(total)]
    store.set(keys[number], socket.gethostname())
    if not _poll(lambda: all(store.check([key]) for key in keys), timeout):
        missing = [i for i, key in enumerate(keys) if not store.check([key])]
        raise not_come(what, missing, total, timeout)
    return [store.get(key).decode() for key in keys]


def not_come(what: str, missing: list[int], total: int, timeout: float) -> UserError:
    """Returns what says who has not come; the arguments are those of `meet`."""
    return UserError(
        f"waited {timeout:g} s: {what} {as_ranges(missing)} of 0-{total - 1} did not come; is "
        "the command running on every machine, with the same numbers? "
        "(--dist-timeout waits longer)"
    )


def report_failure(store: dist.Store, message: str, place: int) -> bool:
    """Tells the other processes; returns whether this was the first to fail.

    Args:
        store: where the processes met.
        message: one line.
        place: whose failure it is: a number that no other uses.
    """
    mine = f"{place}\n{message}"
    try:
        return store.compare_set(_FAILED, "", mine).decode() == mine
    except dist.DistError:  # where they met is gone, and so are the others
        return True


def reported_failure(store: dist.Store, place: int) -> str | None:
    """Returns the line of the process that failed first, unless that is `place` itself.

    Raises:
        torch.distributed.DistError: where they met is gone.
    """
    if not store.check([_FAILED]):
        return None
    other, message = store.get(_FAILED).decode().split("\n", 1)
    return None if int(other) == place else message


def part(store: dist.Store, others: int, *, hosts: bool, timeout: float) -> None:
    """Leaves; who hosts the store stays until the others have left or `timeout` is over."""
    try:
        if not hosts:
            store.add(_FINISHED, 1)
        else:
            _poll(lambda: store.add(_FINISHED, 0) >= others, timeout)
    except dist.DistError:
        pass  # gone already: there is nothing to wait for


def as_ranges(ranks: list[int]) -> str:
    """Returns numbers in short: [0, 1, 2, 5] is "0-2, 5"."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][-1] + 1:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _poll(condition: Callable[[], bool], timeout: float) -> bool:
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(_PAUSE)
    return True


def _check_free(port: int, source: str) -> None:
    """Torch's own attempt would print more than a line."""
    if not 0 <= port < 65536:
        raise UserError(f"{source}: {port} is no port; it has to be below 65536")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise UserError(
                    f"{source}: port {port} is in use on this machine; name another"
                ) from None
            raise UserError(f"{source}: port {port}: {error.strerror}") from None
