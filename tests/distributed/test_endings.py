"""How a run of several processes ends when it does not reach its end."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.distributed.commands import STARTERS, Started, arguments, start
from tests.engines.conftest import Bench

pytestmark = pytest.mark.slow
ENDLESS = ("SOLVER.MAX_ITER", 10**6, "SOLVER.STEPS", "[]")


@pytest.mark.parametrize("starter", STARTERS)
def test_the_failure_of_one_process_ends_all_in_one_line(starter: str, bench: Bench) -> None:
    (bench.entry.image_root / "3.png").write_bytes(b"no image")
    words = (*ENDLESS, "DATASETS.MAX_BROKEN_IMAGES", 0)
    run = start(bench, starter, arguments(bench, "portable", "run", *words))
    assert all(status != 0 for status in run.wait()), run.said()
    [line] = run.errors()
    assert "3.png: " in line
    # torchrun adds its own account of which process failed.
    assert starter == "torchrun" or "Traceback" not in run.said()


@pytest.mark.parametrize("starter", STARTERS)
def test_what_cannot_be_shared_is_refused_before_the_data_are_read(
    starter: str, bench: Bench
) -> None:
    assert bench.entry.json_file is not None
    bench.entry.json_file.write_text("no JSON")
    run = start(bench, starter, arguments(bench, "portable", "run", "SOLVER.IMS_PER_BATCH", 3))
    assert all(status != 0 for status in run.wait()), run.said()
    [line] = run.errors()
    assert line.startswith("error: SOLVER.IMS_PER_BATCH is 3, which cannot be shared by 2 process")
    assert not (bench.folder / "run").exists()


def test_norms_over_processes_are_refused_on_the_cpu(bench: Bench) -> None:
    words = ("MODEL.RESNETS.NORM", "SyncBN")
    run = start(bench, "--num-gpus", arguments(bench, "portable", "run", *words))
    assert run.wait() == [2], run.said()
    [line] = run.errors()
    assert line.startswith("error: MODEL.RESNETS.NORM is SyncBN, which torch computes among")


@pytest.mark.parametrize(
    ("number", "to_all", "status"),
    [
        pytest.param(signal.SIGINT, True, 130, id="Ctrl-C"),
        pytest.param(signal.SIGINT, False, 130, id="SIGINT to the command alone"),
        pytest.param(signal.SIGTERM, True, 75, id="SIGTERM"),
        pytest.param(signal.SIGTERM, False, 75, id="SIGTERM to the command alone"),
        pytest.param(signal.SIGKILL, False, -signal.SIGKILL, id="SIGKILL to the command alone"),
    ],
)
def test_no_process_is_left(
    number: signal.Signals, to_all: bool, status: int, bench: Bench
) -> None:
    loaders = ("DATALOADER.NUM_WORKERS", 1)
    run = start(bench, "--num-gpus", arguments(bench, "portable", "run", *ENDLESS, *loaders))
    [process] = run.processes
    _await_training(run, bench)
    family = _descendants(process.pid)
    assert len(family) >= 4  # two processes, and a worker each
    (os.killpg if to_all else os.kill)(process.pid, number)
    assert run.wait() == [status], run.said()
    assert _gone(family, seconds=30), run.said()
    if status == 130:
        # The log's line, as of one process; where another's end broke in on it, the command's.
        precise, general = r"Interrupted(?: after|, no checkpoint)", r"^interrupted; --resume"
        assert len(re.findall(f"{precise}|{general}", run.said(), re.MULTILINE)) == 1, run.said()
    if status > 0:
        assert "Traceback" not in run.said()
    if status == 75:
        assert run.said().count("Stopped by SIGTERM after ") == 1


def test_a_killed_process_ends_the_others_and_is_named(bench: Bench) -> None:
    run = start(bench, "--num-gpus", arguments(bench, "portable", "run", *ENDLESS))
    [process] = run.processes
    _await_training(run, bench)
    family = _descendants(process.pid)
    victim = max(family, key=lambda pid: int(_memory(pid)))
    os.kill(victim, signal.SIGKILL)
    assert run.wait() == [2], run.said()
    [line] = run.errors()
    assert line.endswith("was killed by SIGKILL (out of memory?)")
    assert _gone(family, seconds=30)


def _await_training(run: Started, bench: Bench) -> None:
    """Waits for the first line of losses."""
    end = time.monotonic() + 300
    while "total_loss" not in run.said():
        assert time.monotonic() < end, run.said()
        assert all(process.poll() is None for process in run.processes), run.said()
        time.sleep(0.2)


def _descendants(pid: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += [int(child), *_descendants(int(child))]
    return [child for child in found if "resource_tracker" not in _words(child)]


def _words(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def _memory(pid: int) -> str:
    return Path(f"/proc/{pid}/statm").read_text().split()[1]


def _gone(pids: list[int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while any(_is_alive(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
