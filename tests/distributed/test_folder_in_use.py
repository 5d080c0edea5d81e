"""A folder in which another run writes is refused in all processes, in one line."""

import subprocess
import sys

import pytest

from tests.distributed.commands import STARTERS, arguments, start
from tests.engines.conftest import Bench
from tests.training.test_run_folder import HOLD

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("starter", STARTERS)
def test_a_second_run_of_several_processes_is_refused(starter: str, bench: Bench) -> None:
    folder = bench.folder / "run"
    folder.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder / "run.lock"), "here"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        run = start(bench, starter, arguments(bench, "portable", "run"))
        assert all(status != 0 for status in run.wait()), run.said()
        [line] = run.errors()
        assert f"run is in use by process {other.pid} on here: wait for that run" in line
        assert [path.name for path in folder.iterdir()] == ["run.lock"]
        other.kill()
