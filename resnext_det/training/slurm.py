"""The place of a process in a job step of SLURM, from SLURM's own variables. Engine-neutral."""

import re
from collections.abc import Mapping
from functools import partial

from resnext_det.errors import UserError
from resnext_det.training.place import Place, number_in

_FIRST_PORT, _NUM_PORTS = 20000, 12000
"""Below 32768, where Linux begins to hand out ports by itself."""

_number = partial(number_in, whose="a process of a SLURM step")


def slurm_place(variables: Mapping[str, str]) -> Place | None:
    """Returns where this process stands among those that srun started.

    Args:
        variables: the environment.

    Returns:
        None outside a step of several tasks: in the batch script itself, in an interactive
        shell, without SLURM.

    Raises:
        UserError: a variable is missing or no number.
    """
    in_step = "SLURM_PROCID" in variables and "SLURM_STEP_ID" in variables
    if not in_step or num_tasks(variables) < 2:
        return None
    machine = _number(variables, "SLURM_NODEID", "0")
    counts = tasks_per_node(
        _first_of(variables, "SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE", default="")
    )
    return Place(
        rank=_number(variables, "SLURM_PROCID"),
        world_size=num_tasks(variables),
        local_rank=_number(variables, "SLURM_LOCALID"),
        local_world_size=counts[machine] if machine < len(counts) else 1,
        machine=machine,
    )


def num_tasks(variables: Mapping[str, str]) -> int:
    """Returns the tasks of the step; those of the job where it does not say; 1 without SLURM."""
    name = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in variables else "SLURM_NTASKS"
    return _number(variables, name, "1")


def slurm_address(variables: Mapping[str, str]) -> tuple[str, int]:
    """Returns the host and port at which rank 0 waits for the others.

    The host is the first of the step's; the port follows from the numbers of job and step, so
    that all processes know it and two steps on one machine rarely share it. `MASTER_ADDR` and
    `MASTER_PORT` stand above both.

    Raises:
        UserError: no list of nodes, or a number that is none.
    """
    names = ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST")
    host = variables.get("MASTER_ADDR") or first_host(_first_of(variables, *names))
    job, step = (_number(variables, name, "0") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    port = _FIRST_PORT + (job + 131 * step) % _NUM_PORTS
    return host, _number(variables, "MASTER_PORT", str(port))


def first_host(node_list: str) -> str:
    """Returns the first host of SLURM's compact notation.

    `gpu[03-05,09],x1` is gpu03, gpu04, gpu05, gpu09, x1: the first is gpu03.
    """
    first = re.match(r"(?:\[[^\]]*\]|[^,\[])+", node_list.strip())
    if first is None:
        raise UserError(f"SLURM's list of nodes {node_list!r} names none: set MASTER_ADDR")
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first[0])


def tasks_per_node(text: str) -> list[int]:
    """Returns how many tasks each node runs: `2(x3),1` is [2, 2, 2, 1]."""
    counts = []
    for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", text):
        counts += [int(count)] * int(times or 1)
    return counts


def _first_of(variables: Mapping[str, str], *names: str, default: str | None = None) -> str:
    for name in names:
        if variables.get(name):
            return variables[name]
    if default is None:
        raise UserError(f"SLURM set none of {', '.join(names)}: set MASTER_ADDR to the first host")
    return default
