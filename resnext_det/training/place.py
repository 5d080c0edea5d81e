"""How many processes a run has, and where one stands among them. Engine-neutral."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from resnext_det.errors import UserError

TIMEOUT = 600.0
"""Seconds to wait for the other machines: for the slowest start from a cold file system."""


@dataclass(frozen=True)
class Request:
    """The options that say how many processes to start.

    Attributes:
        num_gpus: processes on this machine; 0 and 1 both mean one.
        num_machines: machines in all; the command runs on each.
        machine_rank: this machine's place, from 0.
        dist_url: `tcp://HOST:PORT` of machine 0; "auto" on one machine.
        timeout: seconds to wait for the other machines or processes.
        on_gpus: whether each process computes on a GPU of its own.
    """

    num_gpus: int = 1
    num_machines: int = 1
    machine_rank: int = 0
    dist_url: str = "auto"
    timeout: float = TIMEOUT
    on_gpus: bool = False

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `dist_url`.

        Raises:
            UserError: it is not `tcp://HOST:PORT`.
        """
        found = re.fullmatch(r"tcp://(\[[^\]]+\]|[^:/]+):(\d+)", self.dist_url)
        if found is None or not 0 < int(found[2]) < 65536:
            raise UserError(f"--dist-url {self.dist_url}: it must be tcp://HOST:PORT")
        return found[1].strip("[]"), int(found[2])

    @property
    def per_machine(self) -> int:
        """Processes on this machine."""
        return max(self.num_gpus, 1)

    @property
    def world_size(self) -> int:
        """Processes on all machines."""
        return self.per_machine * self.num_machines


@dataclass(frozen=True)
class Place:
    """One process among all of a run.

    Attributes:
        rank: its number, 0 … world_size - 1.
        world_size: how many there are.
        local_rank: its number on its machine, which is that of its GPU.
        local_world_size: how many there are on its machine.
        machine: its machine's number.
    """

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    machine: int


def number_in(
    variables: Mapping[str, str], name: str, default: str | None = None, *, whose: str
) -> int:
    """Returns the number in an environment variable.

    Args:
        variables: the environment.
        name: of the variable.
        default: stands for it where it is not set.
        whose: who needs it, for the message.

    Raises:
        UserError: it is not set, or is no whole number from 0 on.
    """
    text = variables.get(name, default)
    if text is None or not text.isdecimal():
        raise UserError(f"{name} is {text!r}: {whose} needs a number there")
    return int(text)
