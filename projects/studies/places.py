"""Where jobs run on this machine: a core each, or GPUs of their own. Engine-neutral."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from resnext_det.errors import UserError

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Place:
    """Room for one job at a time.

    Attributes:
        devices: what CUDA calls its GPUs; none where it is a core.
    """

    devices: tuple[str, ...] = ()

    @property
    def num_gpus(self) -> int:
        """The processes that a job trains with there."""
        return max(1, len(self.devices))

    @property
    def environment(self) -> dict[str, str]:
        """What a job's environment has to say for it to stay in its place."""
        if self.devices:
            return {_VISIBLE: ",".join(self.devices)}
        return {_VISIBLE: "", **dict.fromkeys(_THREADS, "1")}

    def words(self, command: Sequence[str]) -> list[str]:
        """Returns a job's command with the number of its GPUs."""
        return with_gpus(command, self.num_gpus)


def with_gpus(command: Sequence[str], number: int) -> list[str]:
    """Returns a job's command with the number of its GPUs, where they are several."""
    at = command.index("--config-file")
    gpus = ["--num-gpus", str(number)] if number > 1 else []
    return [*command[:at], *gpus, *command[at:]]


def cpu_places(number: int) -> list[Place]:
    """Returns places for `number` jobs side by side, one thread each.

    Raises:
        UserError: fewer than one.
    """
    if number < 1:
        raise UserError(f"--jobs {number}: it must be 1 or more")
    return [Place()] * number


def gpu_places(devices: Sequence[str], per_run: int = 1, jobs: int | None = None) -> list[Place]:
    """Returns places on GPUs.

    Args:
        devices: what CUDA calls them.
        per_run: GPUs for each job.
        jobs: how many at a time, dealt out in turn; None for one on each GPU or group of them.

    Raises:
        UserError: the GPUs cannot be dealt out so.
    """
    if per_run < 1:
        raise UserError(f"--gpus-per-run {per_run}: it must be 1 or more")
    if len(devices) % per_run:
        raise UserError(
            f"--gpus-per-run {per_run}: {len(devices)} GPUs cannot be dealt out so; name a "
            "multiple of it with --gpus"
        )
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs {jobs}: it must be 1 or more")
    groups = [Place(tuple(devices[i : i + per_run])) for i in range(0, len(devices), per_run)]
    return [groups[i % len(groups)] for i in range(jobs or len(groups))]


def choose_places(
    jobs: int | None = None,
    gpus: str | None = None,
    per_run: int = 1,
    *,
    environment: Mapping[str, str] | None = None,
    count: int | None = None,
) -> list[Place]:
    """Returns the places that a study's options ask for.

    Args:
        jobs: --jobs, how many at a time; None for one on each GPU, or two without.
        gpus: --gpus: "0,2", "none" for the CPU; None for all that torch finds.
        per_run: --gpus-per-run.
        environment: stands for this process's.
        count: stands for the number of GPUs that torch finds.

    Raises:
        UserError: options that do not fit each other or this machine.
    """
    environment = os.environ if environment is None else environment
    count = torch.cuda.device_count() if count is None else count
    numbers = list(range(count)) if gpus is None else _numbers(gpus, count)
    if not numbers:
        if per_run > 1:
            raise UserError(f"--gpus-per-run {per_run}: no GPU to run on")
        return cpu_places(min(2, os.cpu_count() or 1) if jobs is None else jobs)
    # What this process may not see, its jobs may not either: a scheduler has set it.
    visible = [name for name in environment.get(_VISIBLE, "").split(",") if name.strip()]
    names = [visible[n].strip() if n < len(visible) else str(n) for n in numbers]
    return gpu_places(names, per_run, jobs)


def _numbers(text: str, count: int) -> list[int]:
    """Reads --gpus."""
    if text == "none":
        return []
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise UserError(f"--gpus {text}: it must be numbers, as in 0,1, or none")
    numbers = [int(word) for word in words]
    if len(set(numbers)) < len(numbers):
        raise UserError(f"--gpus {text}: names a GPU twice; --jobs says how many run at a time")
    if found := [n for n in numbers if n >= count]:
        there = f"only {count}, from 0 on" if count else "no GPU"
        raise UserError(f"--gpus {text}: torch finds {there} here, so none of number {found[0]}")
    return numbers
