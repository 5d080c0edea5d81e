"""What the processes of a run know of, and say to, each other. Engine-neutral."""

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from resnext_det.errors import UserError
from resnext_det.training.machine import keep_freed_memory, name_interface, share_cores
from resnext_det.training.place import Place
from resnext_det.training.preemption import current
from resnext_det.training.rendezvous import as_ranges
from resnext_det.training.together import await_others

T = TypeVar("T")

_TIMEOUT = timedelta(minutes=30)
"""How long one process waits for another that is busy: evaluating COCO on the CPU, say."""
_about: list[str] = []
"""What the log says about the processes; see `about`."""


def join(
    store: dist.Store,
    place: Place,
    hosts: Sequence[str],
    *,
    starter: str,
    address: tuple[str, int],
    on_gpus: bool,
) -> None:
    """Makes this process one of several.

    Args:
        store: where they have met.
        place: where this one stands.
        hosts: for each rank the name of its machine.
        starter: what started them, for the log.
        address: host and port of the store.
        on_gpus: whether each computes on a GPU of its own.

    Raises:
        UserError: fewer GPUs than processes, or they cannot reach each other.
    """
    os.environ["LOCAL_RANK"] = str(place.local_rank)
    os.environ["LOCAL_WORLD_SIZE"] = str(place.local_world_size)
    if on_gpus:
        torch.cuda.set_device(gpu_of(place.local_rank))
    share_cores(place.local_world_size)
    keep_freed_memory()
    if place.local_world_size < place.world_size:
        name_interface(address)
    backend = "nccl" if on_gpus else "gloo"
    try:
        dist.init_process_group(
            backend,
            store=dist.PrefixStore("resnext_det/group", store),
            rank=place.rank,
            world_size=place.world_size,
            timeout=_TIMEOUT,
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"rank {place.rank} cannot reach the other processes: {reason} "
            "(GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME name the network interface)"
        ) from error
    current().decides = place.rank == 0
    about(_summary(place, hosts, starter, backend))


def about(*lines: str) -> None:
    """Sets what the log says about the processes when it opens."""
    _about[:] = lines


def about_lines() -> list[str]:
    """Returns what `about` set."""
    return list(_about)


def rank() -> int:
    """Returns this process's number among all, 0 when it is alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Returns the number of processes on all machines."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    """Returns this process's number on its machine, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", 0)) if dist.is_initialized() else 0


def local_world_size() -> int:
    """Returns the number of processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if dist.is_initialized() else 1


def own_gpu() -> int:
    """Returns the number of this process's GPU."""
    return gpu_of(local_rank())


def gpu_of(number: int) -> int:
    """Returns the GPU of a machine's process by that number.

    Raises:
        UserError: the machine has fewer GPUs than processes.
    """
    gpus = torch.cuda.device_count()
    if gpus == 1 and "SLURM_STEP_ID" in os.environ:
        return 0  # srun --gpus-per-task=1 shows each process its own
    if number >= gpus:
        raise UserError(f"process {number} of this machine finds no GPU: there are {gpus}")
    return number


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
    await_others(world_size())
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
    """Averages scalars over the processes, and asks whether one was told to stop.

    Args:
        values: 0-d tensors, the same names in every process.
    """
    if not values:
        return {}
    stacked = torch.stack([value.detach().float() for value in values.values()])
    if world_size() == 1:
        return dict(zip(values, stacked.tolist(), strict=True))
    told = current()
    # The wish travels with the values: a message of its own would cost every iteration as much.
    wishes = [stacked.new_full((1,), float(wish)) for wish in told.wishes]  # no wait for a GPU
    stacked = torch.cat([stacked, *wishes])
    dist.all_reduce(stacked)
    means = (stacked / world_size()).tolist()
    told.agree([wish > 0 for wish in means[len(values) :]])
    return dict(zip(values, means[: len(values)], strict=True))


class ErrorExchange:
    """Tells every process that one of them has failed, before they wait for each other.

    It goes by the CPU: a GPU need not finish for it what it is at.
    """

    def __init__(self) -> None:
        self._group: Any = None  # torch's process group; None is the one that all have

    def raise_alike(self, error: FloatingPointError | None) -> None:
        """Raises where any process has an error; all call it at the same time.

        Raises:
            FloatingPointError: the error of the first process that has one.
        """
        if world_size() > 1:
            error = self._first(error)
        if error is not None:
            raise error

    def _first(self, error: FloatingPointError | None) -> FloatingPointError | None:
        if self._group is None and dist.get_backend() != "gloo":
            self._group = dist.new_group(backend="gloo")
        failed = torch.tensor(int(error is not None))
        dist.all_reduce(failed, group=self._group)
        if not failed:
            return None
        texts: list[str] = [""] * world_size()
        dist.all_gather_object(texts, str(error) if error else "", group=self._group)
        return FloatingPointError(next(filter(None, texts), "the forward pass was broken off"))


def wrap_model(model: nn.Module, device: torch.device) -> nn.Module:
    """Returns the model for training: itself alone, DistributedDataParallel among several.

    While training, buffers stay each process's own, as in Detectron2; the main process's are
    saved, and evaluated in all (`share_buffers`).
    """
    if world_size() == 1:
        return model
    ddp = nn.parallel.DistributedDataParallel
    new = "forward_sync_buffers" in inspect.signature(ddp.__init__).parameters
    name = "forward_sync_buffers" if new else "broadcast_buffers"  # the newer torch's, or older's
    keep_buffers: dict[str, Any] = {name: False}
    return ddp(model, device_ids=[device] if device.type == "cuda" else None, **keep_buffers)


def share_buffers(model: nn.Module) -> None:
    """Gives every process the main one's running statistics, which are those that are saved.

    Args:
        model: not wrapped; a process on its own keeps what it has.
    """
    if world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)


def unwrap_model(model: nn.Module) -> nn.Module:
    """Returns the model inside DistributedDataParallel and torch.compile, or the model itself."""
    model = without_compilation(model)
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def without_compilation(model: nn.Module) -> nn.Module:
    """Returns what torch.compile was given, or the model itself."""
    return getattr(model, "_orig_mod", model)  # its class is in a module slow to import


def _summary(place: Place, hosts: Sequence[str], starter: str, backend: str) -> str:
    ranks: dict[str, list[int]] = {}
    for number, host in enumerate(hosts):
        ranks.setdefault(host, []).append(number)
    where = "; ".join(f"{host}: rank {as_ranges(some)}" for host, some in ranks.items())
    return f"{place.world_size} processes, started by {starter}, talk by {backend} ({where})"
