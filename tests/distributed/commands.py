"""Runs of the real `train_net.py`, started in each of the ways there are."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from resnext_det.engines.base import EngineName
from tests.engines.conftest import Bench

ROOT = Path(__file__).parents[2]
STARTERS = ("--num-gpus", "torchrun", "SLURM")
FOREIGN = ("SLURM", "TORCHELASTIC", "MASTER_", "GLOO_", "RANK", "WORLD_SIZE", "LOCAL_", "GROUP_")


def in_each_way(*moments: str, slow: Iterable[tuple[str, str]]) -> pytest.MarkDecorator:
    """Each starter with each moment of a test, of which all but the pairs in `slow` are long."""
    pairs = [(starter, moment) for starter in STARTERS for moment in moments]
    assert set(slow) <= set(pairs)
    return pytest.mark.parametrize(
        ("starter", "moment"),
        [pytest.param(*pair, marks=() if pair in slow else pytest.mark.long) for pair in pairs],
    )


@dataclass
class Started:
    """Processes of one run, and where their words go."""

    processes: list[subprocess.Popen[bytes]]
    outputs: list[Path]

    def wait(self, seconds: float = 300) -> list[int]:
        """The exit statuses of all; where they do not end, none is left to go on for ever."""
        end = time.monotonic() + seconds
        try:
            return [process.wait(end - time.monotonic()) for process in self.processes]
        except subprocess.TimeoutExpired:
            for process in self.processes:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            raise

    def said(self) -> str:
        """What all of them have written."""
        return "".join(path.read_text() for path in self.outputs)

    def errors(self) -> list[str]:
        """The lines that say what was wrong."""
        return [line for line in self.said().splitlines() if line.startswith("error: ")]


def arguments(bench: Bench, engine: EngineName, name: str, *words: Any) -> list[str]:
    """The options and keys of a run on the bench's data."""
    data = f"{bench.entry.name}={bench.entry.json_file}:{bench.entry.image_root}"
    files = ["--config-file", bench.config, "--train-data", data, "--test-data", data]
    options = [word for word in words if str(word).startswith("--")]
    keys = [word for word in words if word not in options]
    given = ["--engine", engine, *files, *options, "OUTPUT_DIR", bench.folder / name, *keys]
    return [str(word) for word in given]


def start(
    bench: Bench,
    starter: str,
    given: Sequence[str],
    *,
    script: str = "train_net.py",
    variables: Mapping[str, str] | None = None,
    torchrun: Sequence[str] = (),
) -> Started:
    """Starts two processes of a run in one of `STARTERS`, or one (starter "").

    Args:
        bench: its data and folder.
        starter: how.
        given: the command's words.
        script: what is run.
        variables: further ones.
        torchrun: its further options.
    """
    more = variables or {}
    if starter == "SLURM":
        job = free_port() - 20000  # the port that follows from it
        tasks = [[sys.executable, script, *given]] * 2
        places = [_task(r, job) | more for r in (0, 1)]
        pairs = [start_process(t, bench, p) for t, p in zip(tasks, places, strict=True)]
        return Started(*map(list, zip(*pairs, strict=True)))
    before = []
    if starter == "torchrun":
        before = ["-m", "torch.distributed.run", "--nproc-per-node", "2", *torchrun]
        before += ["--master-port", str(free_port())]
    after = ["--num-gpus", "2"] if starter == "--num-gpus" else []
    command = [sys.executable, *before, script, *after, *given]
    process, output = start_process(command, bench, more)
    return Started([process], [output])


def _task(rank: int, job: int) -> dict[str, str]:
    """The variables of one of two tasks that srun starts on one machine."""
    numbers = {"PROCID": rank, "LOCALID": rank, "NTASKS": 2, "STEP_ID": 0, "JOB_ID": job}
    texts = {"JOB_NODELIST": "localhost", "STEP_TASKS_PER_NODE": "2", "NODEID": "0"}
    return {f"SLURM_{name}": str(value) for name, value in (numbers | texts).items()}


def start_process(
    command: Sequence[str], bench: Bench, variables: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], Path]:
    """Starts a command at the root of the checkout, in a process group of its own."""
    bench.folder.mkdir(exist_ok=True)
    output = bench.folder / f"said_{len(list(bench.folder.glob('said_*')))}.txt"
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    own |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **variables}
    with output.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=ROOT, env=own, stdout=stream, stderr=stream, start_new_session=True
        )
    return process, output


def free_port() -> int:
    """A port below those that the system hands out by itself; test processes hardly collide."""
    while True:
        port = 20000 + secrets.randbelow(12000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("", port))
            return port
