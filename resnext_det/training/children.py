"""The processes that a command starts on its machine, and how they end. Engine-neutral."""

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

import torch.distributed as dist
import torch.multiprocessing as mp

from resnext_det.errors import SaidInterruptError, UserError
from resnext_det.training import distributed
from resnext_det.training.child_process import (
    crash_of,
    crashes_told,
    die_with_parent,
    hear_one_interrupt,
    leave,
)
from resnext_det.training.place import Place, Request
from resnext_det.training.preemption import SIGNALS, STATUS, Preempted, current, handled
from resnext_det.training.rendezvous import (
    find_store,
    host_store,
    meet,
    part,
    report_failure,
    reported_failure,
)
from resnext_det.training.together import say_left, stops_together
from resnext_det.training.watch import END, GRACE, failed_elsewhere

_KINDS = {"UserError": UserError, "FloatingPointError": FloatingPointError}
"""What a process fails with in one line instead of a traceback."""
_PERIOD = 1.0
_INTERRUPTED = 130
_SAID = "said"
"""A file that the main process leaves when its log says what an interrupt leaves."""


def run_children(fn: Callable[..., Any], args: tuple[Any, ...], request: Request) -> None:
    """Runs `fn(*args)` in this machine's processes, to the end of all of them.

    Raises:
        UserError: a machine does not come, a process is killed or fails with one, also
            on another machine.
        FloatingPointError: a process fails with one.
        RuntimeError: a process fails otherwise; with its traceback.
        Preempted: a process was told to stop; this one passes the signal on, and waits for all.
        KeyboardInterrupt: as in one process; SaidInterruptError where the main process's log
            says what the interrupt leaves.
    """
    store, address = _open(request)
    patience = 2 * GRACE
    try:
        if request.num_machines > 1:
            meet(store, "machine", request.machine_rank, request.num_machines, request.timeout)
        with current().finishing():  # the processes are told, and this one waits for them
            _run(fn, args, request, store, address)
        patience = END
    except Preempted:
        say_left(store)
        raise
    finally:
        part(store, request.num_machines - 1, hosts=request.machine_rank == 0, timeout=patience)


def _run(
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    request: Request,
    store: dist.Store,
    address: tuple[str, int],
) -> None:
    here = request.machine_rank
    with tempfile.TemporaryDirectory() as folder:
        task = _Task(fn, args, request, address, folder, current().installed)
        context: Any = mp.spawn(_child, (task,), nprocs=request.per_machine, join=False)
        processes: Sequence[BaseProcess] = context.processes
        try:
            elsewhere = _wait(processes, store, here)
        except KeyboardInterrupt:
            report_failure(store, "interrupted", here)
            _end(processes, patience=GRACE)
            raise _interrupt(Path(folder)) from None
        if any(process.exitcode == STATUS for process in processes):
            _join(processes, END)  # the others end by themselves
        _join(processes, _PERIOD)  # a lost connection can show before the death behind it
        killed = _first_killed(processes)
        _end(processes, patience=0.0)
        if elsewhere is not None:
            raise UserError(f"a process on another machine has failed: {elsewhere}")
        statuses = [process.exitcode for process in processes]
        if any(statuses):
            _raise_failure(Path(folder), killed, store, request, stopped=STATUS in statuses)


def _interrupt(folder: Path) -> KeyboardInterrupt:
    return SaidInterruptError() if (folder / _SAID).exists() else KeyboardInterrupt()


def _open(request: Request) -> tuple[dist.TCPStore, tuple[str, int]]:
    """Returns where the processes meet, and its address."""
    if request.num_machines == 1 and request.dist_url == "auto":
        store = host_store("127.0.0.1", 0, "--num-gpus")
        return store, ("127.0.0.1", store.port)
    host, port = request.address
    if request.machine_rank == 0:
        return host_store(host, port, f"--dist-url {request.dist_url}"), (host, port)
    return find_store(host, port, request.timeout), (host, port)


@dataclass(frozen=True)
class _Task:
    """What each of the processes is given.

    Attributes:
        fn: what it runs.
        args: of that.
        request: for processes.
        address: host and port of the store.
        folder: where it leaves how it ended.
        listens: whether it listens to what tells it to stop.
    """

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    request: Request
    address: tuple[str, int]
    folder: str
    listens: bool


def _child(local: int, task: _Task) -> None:
    """Is one of the processes."""
    die_with_parent()
    hear_one_interrupt()
    request = task.request
    place = Place(
        rank=request.machine_rank * request.per_machine + local,
        world_size=request.world_size,
        local_rank=local,
        local_world_size=request.per_machine,
        machine=request.machine_rank,
    )
    with crashes_told(Path(task.folder), place.rank):
        with handled() if task.listens else contextlib.nullcontext():
            status = _be_child(place, task)
        leave(status)


def _be_child(place: Place, task: _Task) -> int:
    """Returns the status of exit."""
    request = task.request
    try:
        store = find_store(*task.address, request.timeout)
        starter = f"--num-gpus {request.per_machine}"
        if request.num_machines > 1:
            starter += f" on {request.num_machines} machines"
        with stops_together(store, place.rank):
            hosts = meet(store, "rank", place.rank, place.world_size, request.timeout)
            distributed.join(
                store, place, hosts, starter=starter, address=task.address, on_gpus=request.on_gpus
            )
            task.fn(*task.args)
        dist.destroy_process_group()
        return 0
    except KeyboardInterrupt as interrupt:
        if place.rank == 0 and isinstance(interrupt, SaidInterruptError):
            Path(task.folder, _SAID).touch()
        return _INTERRUPTED
    except Preempted as stopped:
        if str(stopped):
            print(stopped, file=sys.stderr, flush=True)
        return STATUS
    except Exception as error:
        kind = next((name for name, kind in _KINDS.items() if isinstance(error, kind)), "")
        text = str(error) if kind else traceback.format_exc()
        Path(task.folder, f"{place.rank}.json").write_text(json.dumps([kind, text]))
        return 1


def _wait(processes: Sequence[BaseProcess], store: dist.Store, here: int) -> str | None:
    """Waits until all have ended or one has failed; returns what failed on another machine."""
    passed_on = False
    while True:
        alive = [process for process in processes if process.exitcode is None]
        if not alive or any(process.exitcode for process in processes):
            return None
        if current().wanted and not passed_on:
            _send(alive, signal.Signals[current().signal])
            passed_on = True
        connection.wait([process.sentinel for process in alive], timeout=_PERIOD)
        try:
            elsewhere = reported_failure(store, here)
        except dist.DistError:
            elsewhere = "machine 0 is gone"
        if elsewhere is not None:
            return elsewhere


def _first_killed(processes: Sequence[BaseProcess]) -> tuple[int, str] | None:
    """Returns place and signal of a process that was killed before any was ended here."""
    for place, process in enumerate(processes):
        if process.exitcode is not None and process.exitcode < 0:
            return place, signal.Signals(-process.exitcode).name
    return None


def _end(processes: Sequence[BaseProcess], patience: float) -> None:
    """Ends what still runs: after `patience` seconds as Ctrl-C does, then for certain."""
    with _deaf_to_interrupts():
        if patience:
            _join(processes, patience)
            _send(processes, signal.SIGINT)
            _join(processes, patience)
        for stop in (BaseProcess.terminate, BaseProcess.kill):
            for process in processes:
                if process.is_alive():
                    stop(process)
            _join(processes, GRACE)


def _send(processes: Sequence[BaseProcess], number: signal.Signals) -> None:
    for process in processes:
        if process.is_alive() and process.pid:
            os.kill(process.pid, number)


def _join(processes: Sequence[BaseProcess], seconds: float) -> None:
    end = time.monotonic() + seconds
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """A second Ctrl-C must not leave processes behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _raise_failure(
    folder: Path,
    killed: tuple[int, str] | None,
    store: dist.Store,
    request: Request,
    *,
    stopped: bool,
) -> NoReturn:
    """Raises what ended the processes: the cause rather than what it did to the others."""
    here, first = request.machine_rank, request.machine_rank * request.per_machine
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    for kind, text in reports:
        if kind:
            report_failure(store, text, here)
            raise _KINDS[kind](text)
    early = killed is not None and killed[1] in [number.name for number in SIGNALS]
    if current().installed and not reports and (early or (stopped and killed is None)):
        raise Preempted  # early: before it listened, which is before anything was trained
    if killed is not None:
        rank = first + killed[0]
        place, threads = crash_of(folder, rank)
        print(threads, end="", file=sys.stderr, flush=True)
        why = f" at {place}" if place else " in a thread of a library" if threads else ""
        why = " (out of memory?)" if killed[1] == "SIGKILL" else why
        line = f"the process of rank {rank} was killed by {killed[1]}{why}"
        report_failure(store, line, here)
        raise UserError(line)
    elsewhere = failed_elsewhere(store, here, GRACE if request.num_machines > 1 else 0.0)
    if elsewhere is not None:
        raise UserError(f"a process on another machine has failed: {elsewhere}")
    if not reports:
        report_failure(store, "interrupted", here)
        raise _interrupt(folder)
    report_failure(store, reports[0][1].strip().splitlines()[-1], here)
    raise RuntimeError(f"a process has failed:\n{reports[0][1]}")
