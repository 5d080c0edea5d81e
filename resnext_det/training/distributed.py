"""Starting processes and talking between them, on GPUs or CPUs. Engine-neutral."""

import inspect
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from resnext_det.errors import UserError

T = TypeVar("T")

_TIMEOUT = timedelta(minutes=30)
# What a process sends back in one line instead of a traceback, by name.
_FORWARDED: Mapping[str, type[Exception]] = {
    "UserError": UserError,
    "FloatingPointError": FloatingPointError,
}
_TORCHRUN_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def launch(
    fn: Callable[..., T],
    num_gpus: int = 1,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str = "auto",
    args: tuple[Any, ...] = (),
) -> T | None:
    """Runs `fn(*args)` in one process per GPU and returns what it returned here.

    Under torchrun this process is already one of several: it joins them and the
    numbers given here are not used. Without GPUs, `num_gpus` above 1 starts that
    many gloo processes.

    Args:
        fn: a function of a module (it is sent to the processes by name).
        num_gpus: processes on this machine; 0 and 1 both mean this process alone.
        num_machines: machines in all; the command runs on each.
        machine_rank: this machine's place, from 0.
        dist_url: `tcp://HOST:PORT` that all machines reach; "auto" on one machine.
        args: what `fn` is called with; it is pickled for the processes.

    Returns:
        The result of `fn`; None when it ran in other processes.

    Raises:
        UserError: numbers that do not fit this machine, or the one that `fn` raised.
        FloatingPointError: the one that `fn` raised.
    """
    if num_gpus < 0:
        raise UserError(f"--num-gpus {num_gpus}: it must be 0 or more")
    if all(name in os.environ for name in _TORCHRUN_VARIABLES):
        return _run_under_torchrun(fn, args)
    per_machine = max(num_gpus, 1)
    world = per_machine * num_machines
    if world == 1:
        return fn(*args)
    _check_request(per_machine, num_machines, machine_rank, dist_url)
    url = f"tcp://127.0.0.1:{_free_port()}" if dist_url == "auto" else dist_url
    messages = mp.get_context("spawn").SimpleQueue()
    first = machine_rank * per_machine
    try:
        with _quiet(logging.getLogger(mp.spawn.__module__)):
            mp.spawn(_worker, (fn, args, first, world, url, messages), nprocs=per_machine)
    except (mp.ProcessRaisedException, mp.ProcessExitedException):
        if messages.empty():
            raise
        name, message = messages.get()
        raise _FORWARDED[name](message) from None
    return None


def rank() -> int:
    """Returns this process's number among all, 0 when it is alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Returns the number of processes on all machines."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    """Returns this process's number on its machine, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", 0)) if dist.is_initialized() else 0


def is_main() -> bool:
    """Tells whether this is the process that writes files and prints."""
    return rank() == 0


def barrier() -> None:
    """Waits until every process is here."""
    if world_size() > 1:
        dist.barrier()


@contextmanager
def main_first() -> Iterator[None]:
    """Lets each machine's first process run the body before its others, to download once."""
    if local_rank() != 0:
        barrier()
    try:
        yield
    finally:
        if local_rank() == 0:
            barrier()


def all_gather_objects(item: T) -> list[T]:
    """Returns every process's item, in order of rank."""
    if world_size() == 1:
        return [item]
    gathered: list[Any] = [None] * world_size()
    dist.all_gather_object(gathered, item)
    return gathered


def broadcast_object(item: T) -> T:
    """Returns the main process's item everywhere."""
    if world_size() == 1:
        return item
    items = [item]
    dist.broadcast_object_list(items, src=0)
    return items[0]


def mean_over_processes(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Averages scalars over the processes.

    Args:
        values: 0-d tensors, the same names in every process.
    """
    if not values:
        return {}
    stacked = torch.stack([value.detach().float() for value in values.values()])
    if world_size() > 1:
        dist.all_reduce(stacked)
        stacked /= world_size()
    return dict(zip(values, stacked.tolist(), strict=True))


def wrap_model(model: nn.Module, device: torch.device) -> nn.Module:
    """Returns the model for training: itself alone, DistributedDataParallel among several.

    Buffers stay each process's own, as in Detectron2; the main process's are saved.
    """
    if world_size() == 1:
        return model
    ddp = nn.parallel.DistributedDataParallel
    new = "forward_sync_buffers" in inspect.signature(ddp.__init__).parameters
    name = "forward_sync_buffers" if new else "broadcast_buffers"  # the newer torch's, or older's
    keep_buffers: dict[str, Any] = {name: False}
    return ddp(model, device_ids=[device] if device.type == "cuda" else None, **keep_buffers)


def unwrap_model(model: nn.Module) -> nn.Module:
    """Returns the model inside DistributedDataParallel, or the model itself."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def _check_request(per_machine: int, num_machines: int, machine_rank: int, dist_url: str) -> None:
    gpus = torch.cuda.device_count()
    if gpus and per_machine > gpus:
        raise UserError(f"--num-gpus {per_machine}: this machine has {gpus}")
    if not 0 <= machine_rank < num_machines:
        raise UserError(
            f"--machine-rank {machine_rank}: it must be between 0 and --num-machines - 1 "
            f"({num_machines - 1})"
        )
    if dist_url == "auto" and num_machines > 1:
        raise UserError(
            f"--num-machines {num_machines} needs --dist-url tcp://HOST:PORT, the same on each"
        )


def _run_under_torchrun(fn: Callable[..., T], args: tuple[Any, ...]) -> T:
    if dist.is_initialized():
        return fn(*args)
    _join("env://", None, None)
    try:
        return fn(*args)
    finally:
        dist.destroy_process_group()


def _worker(
    local: int,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    first_rank: int,
    world: int,
    url: str,
    messages: Any,
) -> None:
    os.environ["LOCAL_RANK"] = str(local)
    _join(url, first_rank + local, world)
    try:
        fn(*args)
    except tuple(_FORWARDED.values()) as error:
        name = next(name for name, kind in _FORWARDED.items() if isinstance(error, kind))
        messages.put((name, str(error)))
        raise
    dist.destroy_process_group()


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Leaves out its warnings: that the other processes are ended is no news to the user."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _join(url: str, process_rank: int | None, world: int | None) -> None:
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group(
        "nccl" if cuda else "gloo",
        init_method=url,
        rank=-1 if process_rank is None else process_rank,
        world_size=-1 if world is None else world,
        timeout=_TIMEOUT,
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
