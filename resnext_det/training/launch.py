"""Starting the processes of a run, or joining those that another program started. Engine-neutral.

What torchrun set stands above SLURM's variables, and these above the options.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from resnext_det.errors import UserError
from resnext_det.training import distributed
from resnext_det.training.children import run_children
from resnext_det.training.machine import keep_freed_memory
from resnext_det.training.place import Place, Request, number_in
from resnext_det.training.rendezvous import find_store, host_store, meet
from resnext_det.training.restarts import has_agent_store, join_attempt
from resnext_det.training.slurm import num_tasks, slurm_address, slurm_place
from resnext_det.training.together import stops_together
from resnext_det.training.watch import ends_with_the_others

T = TypeVar("T")

TORCHRUN_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def launch(fn: Callable[..., T], request: Request, args: tuple[Any, ...] = ()) -> T | None:
    """Runs `fn(*args)` in every process of the run and returns what it returned here.

    Under torchrun, or in a step of several SLURM tasks, this process is already one of
    several: it joins them, and the numbers requested are not used. Otherwise it starts the
    processes, or is the only one. Without GPUs they talk by gloo.

    Args:
        fn: a function of a module (it is sent to the processes by name).
        request: what the user asked for.
        args: what `fn` is called with; it is pickled for the processes.

    Returns:
        The result of `fn`; None when it ran in other processes.

    Raises:
        UserError: numbers that do not fit this machine, a machine that does not come, or
            the one that `fn` raised.
        FloatingPointError: the one that `fn` raised.
        Preempted: the run was told to stop.
    """
    if request.num_gpus < 0:
        raise UserError(f"--num-gpus {request.num_gpus}: it must be 0 or more")
    if request.num_machines < 1:
        raise UserError(f"--num-machines {request.num_machines}: it must be 1 or more")
    if dist.is_initialized():  # a second run in this process
        return fn(*args)
    if _started_by_torchrun(os.environ):
        return _join_torchrun(fn, request, args)
    place = slurm_place(os.environ)
    if place is not None:
        return _join_slurm(fn, request, place, args)
    distributed.about(*_unused_tasks(os.environ))
    if request.world_size == 1:
        keep_freed_memory()  # which each of several does when it joins the others
        return fn(*args)
    _check(request)
    run_children(fn, args, request)
    return None


def _started_by_torchrun(variables: Mapping[str, str]) -> bool:
    """Tells whether torchrun's variables are all there; some of them would start a run each."""
    missing = [name for name in TORCHRUN_VARIABLES if name not in variables]
    if missing and variables.get("WORLD_SIZE", "1") != "1" and "RANK" in variables:
        raise UserError(
            f"RANK and WORLD_SIZE are set, but {', '.join(missing)} not: set all of "
            f"{', '.join(TORCHRUN_VARIABLES)} (torchrun does), or none"
        )
    return not missing


def _join_torchrun(fn: Callable[..., T], request: Request, args: tuple[Any, ...]) -> T:
    starter = "torchrun" if "TORCHELASTIC_RUN_ID" in os.environ else "RANK and WORLD_SIZE"
    number = partial(number_in, os.environ, whose="a process among several")
    place = Place(
        rank=number("RANK"),
        world_size=number("WORLD_SIZE"),
        local_rank=number("LOCAL_RANK"),
        local_world_size=number("LOCAL_WORLD_SIZE", "1"),
        machine=number("GROUP_RANK", "0"),
    )
    if place.rank >= place.world_size:
        raise UserError(
            f"RANK is {place.rank}, but WORLD_SIZE {place.world_size}: ranks count from 0"
        )
    address = os.environ["MASTER_ADDR"], number("MASTER_PORT")
    if has_agent_store(os.environ):
        agents = find_store(*address, request.timeout)
        store = join_attempt(agents, place.rank, place.world_size, request.timeout)
    else:
        store, _, _ = next(dist.rendezvous("env://"))
    return _Joined(request, store, place, starter, address).run(fn, args)


def _join_slurm(fn: Callable[..., T], request: Request, place: Place, args: tuple[Any, ...]) -> T:
    address = slurm_address(os.environ)
    if place.rank == 0:
        store = host_store(*address, "SLURM (MASTER_PORT names another)")
    else:
        store = find_store(*address, request.timeout)
    return _Joined(request, store, place, "SLURM", address).run(fn, args)


@dataclass(frozen=True)
class _Joined:
    """This process among those that another program started."""

    request: Request
    store: dist.Store
    place: Place
    starter: str
    address: tuple[str, int]

    def run(self, fn: Callable[..., T], args: tuple[Any, ...]) -> T:
        place, request = self.place, self.request
        with ends_with_the_others(self.store, place):
            try:
                with stops_together(self.store, place.rank):
                    hosts = meet(self.store, "rank", place.rank, place.world_size, request.timeout)
                    distributed.join(
                        self.store,
                        place,
                        hosts,
                        starter=self.starter + self._unused(),
                        address=self.address,
                        on_gpus=request.on_gpus,
                    )
                    result = fn(*args)
            finally:
                if dist.is_initialized():
                    dist.destroy_process_group()
        return result

    def _unused(self) -> str:
        asked = self.request.world_size
        return f" (which stands above --num-gpus and --num-machines: {asked})" if asked > 1 else ""


def _unused_tasks(variables: Mapping[str, str]) -> list[str]:
    """Says that SLURM holds more tasks ready than this one process."""
    tasks = num_tasks(variables)
    if tasks < 2:
        return []
    return [f"SLURM has {tasks} tasks for this job, but srun did not start this process: one runs"]


def _check(request: Request) -> None:
    gpus = torch.cuda.device_count()
    if request.on_gpus and request.per_machine > gpus:
        raise UserError(f"--num-gpus {request.num_gpus}: this machine has {gpus}")
    if not 0 <= request.machine_rank < request.num_machines:
        raise UserError(
            f"--machine-rank {request.machine_rank}: it must be between 0 and --num-machines - 1 "
            f"({request.num_machines - 1})"
        )
    if request.dist_url == "auto" and request.num_machines > 1:
        raise UserError(
            f"--num-machines {request.num_machines} needs --dist-url tcp://HOST:PORT, the same "
            "on each"
        )
