"""When a run is killed, and how. Engine-neutral; Linux."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tools.kill_study.traces import Before, begun_evaluations, half_written, has_started, log_since

Aim = Literal["uniform", "start-up", "checkpoint", "evaluation"]
Target = Literal["group", "main"]
_LOOK = 0.0005
"""Seconds between two looks into the folder while a moment is waited for."""


@dataclass(frozen=True)
class Pace:
    """How long things take, from the run that nothing stopped.

    Attributes:
        whole: seconds of the whole run, start-up included.
        start: seconds up to the first iteration.
        evaluation: seconds of one evaluation.
        write: seconds of writing a checkpoint.
    """

    whole: float
    start: float
    evaluation: float
    write: float


@dataclass(frozen=True)
class Kill:
    """A kill that is to come.

    Attributes:
        aim: at what moment.
        target: "group": all processes of the run; "main": that one alone, so that the workers of
            its loaders outlive it.
        place: where in the time aimed at, from 0 to 1.
        skip: how many checkpoints or evaluations go by first.
    """

    aim: Aim
    target: Target
    place: float
    skip: int


def plan_kills(count: int, seed: int) -> list[Kill]:
    """Draws the kills: half of them uniformly over the run, the rest aimed, in a random order.

    Every third kills the main process alone.
    """
    draw = random.Random(seed)
    aimed: tuple[Aim, ...] = ("checkpoint", "evaluation", "start-up")
    half = count // 2
    aims: list[Aim] = [aimed[place % 3] if place < half else "uniform" for place in range(count)]
    draw.shuffle(aims)
    return [
        Kill(aim, "main" if number % 3 == 2 else "group", draw.random(), draw.randrange(3))
        for number, aim in enumerate(aims)
    ]


def carry_out(
    kill: Kill, process: subprocess.Popen[bytes], folder: Path, before: Before, pace: Pace
) -> bool:
    """Waits for the moment and kills.

    Returns:
        Whether the run was killed; otherwise it ended before.
    """
    began = time.monotonic()
    if kill.aim == "uniform":
        reached = _wait(process, lambda: time.monotonic() - began >= kill.place * pace.whole)
    elif kill.aim == "start-up":
        reached = _wait(
            process,
            lambda: (
                time.monotonic() - began >= kill.place * pace.start
                or has_started(log_since(folder, before))
            ),
        )
    elif kill.aim == "checkpoint":
        reached = _wait_for_writing(process, folder, before, kill.skip)
        time.sleep(kill.place * pace.write)
    else:
        wanted = kill.skip + 1
        reached = _wait(
            process, lambda: begun_evaluations(log_since(folder, before)) >= wanted, look=0.005
        )
        time.sleep(kill.place * pace.evaluation)
    if not reached or process.poll() is not None:
        return False
    if kill.target == "group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def seconds_of_orphans(group: int, patience: float = 60.0) -> float | None:
    """Waits for the workers that a killed main process leaves, which end by themselves.

    Returns:
        Seconds until none was left; None where some had to be killed.
    """
    began = time.monotonic()
    while time.monotonic() - began < patience:
        if not _is_alive(group):
            return round(time.monotonic() - began, 2)
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return None


def seconds_to_start(
    process: subprocess.Popen[bytes], folder: Path, before: Before
) -> float | None:
    """Returns the seconds until a run comes to its first iteration; None where it does not."""
    began = time.monotonic()
    while process.poll() is None:
        if has_started(log_since(folder, before)):
            return round(time.monotonic() - began, 2)
        time.sleep(0.02)
    return None


def _is_alive(group: int) -> bool:
    """Tells whether a process of the group runs; one that nobody has waited for does not."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of_group = path.read_text(errors="replace").rpartition(")")[2].split()[:3]
        except OSError:  # it has just ended
            continue
        if int(of_group) == group and state not in "ZX":  # proc(5): state, ppid, pgrp
            return True
    return False


def _wait_for_writing(
    process: subprocess.Popen[bytes], folder: Path, before: Before, skip: int
) -> bool:
    seen: set[str] = set()

    def is_written() -> bool:
        seen.update(half_written(folder, before))
        return len(seen) > skip

    return _wait(process, is_written)


def _wait(
    process: subprocess.Popen[bytes], is_reached: Callable[[], bool], look: float = _LOOK
) -> bool:
    """Waits; False where the process ended first."""
    while not is_reached():
        if process.poll() is not None:
            return False
        time.sleep(look)
    return True
