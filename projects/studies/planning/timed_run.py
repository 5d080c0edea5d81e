"""train_net.py for a few iterations, with a clock: what a plan measures. Engine-neutral.

    python -m projects.studies.planning.timed_run OUTPUT_DIR/RECORD …as train_net.py…

The run is the real one: its data, its loader, its processes, its checkpoint and its evaluation.
It ends when enough iterations are timed, and says in RECORD, a JSON file, what they took.
"""

import json
import os
import re
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from resnext_det.cli.verbs.train import main
from resnext_det.training.distributed import broadcast_object, is_main
from resnext_det.training.loop import TrainLoop
from resnext_det.training.newest import LAST
from resnext_det.training.parts import Hook

WARM_UP = 2  # iterations that also allocate, compile and start the loader's processes
AT_LEAST = 4  # iterations that are timed, unless they take longer than all the time there is
AT_MOST = 40
ENOUGH_SECONDS = 8.0  # of timed iterations
MOST_SECONDS = 60.0  # of training in all
RECORD = "RESNEXT_DET_TIMED_RUN"  # the file's name, for the processes of a run of several


class Clock:
    """Ends a run when enough of it is timed, and then writes the record.

    Args:
        loop: what is timed.
        record: the JSON file, in the run's folder. It holds `iterations`, those that are timed;
            `seconds`, of them all; `cpu_seconds`, what this process computed meanwhile;
            `training_seconds`, with those before them;
            `evaluation_seconds`; `memory_bytes`, the peak of this process, on a GPU of what torch
            allocated there; and `on_gpu`.
    """

    def __init__(self, loop: TrainLoop, record: Path) -> None:
        self._loop = loop
        self._record = record
        self._moments: list[float] = []
        self._computed: list[float] = []

    def before_training(self) -> None:
        """Starts the clock."""
        self._moments, self._computed = [time.perf_counter()], [time.process_time()]

    def after_iteration(self, iteration: int) -> None:
        """Notes the time; the main process says for all of them whether it is enough."""
        self._moments.append(time.perf_counter())
        self._computed.append(time.process_time())
        if broadcast_object(is_enough(self._moments)):
            self._loop.stop()

    def after_training(self, iteration: int) -> None:
        """Writes the record; the checkpoint and the evaluation have been."""
        if not is_main():
            return
        iterations, seconds = timed(self._moments)
        on_gpu = any(p.is_cuda for p in self._loop.model_to_use.parameters())
        record = {
            "iterations": iterations,
            "seconds": seconds,
            "cpu_seconds": timed(self._computed)[1],
            "training_seconds": self._moments[-1] - self._moments[0],
            "evaluation_seconds": max(0.0, time.time() - _saved_at(self._record.with_name(LAST))),
            "memory_bytes": torch.cuda.max_memory_allocated() if on_gpu else peak_memory(),
            "on_gpu": on_gpu,
        }
        self._record.write_text(json.dumps(record))


def is_enough(moments: Sequence[float]) -> bool:
    """Tells whether a run has been timed for long enough.

    Args:
        moments: seconds of a clock at the start of training and after each iteration.
    """
    iterations, seconds = timed(moments)
    if len(moments) > 1 and moments[-1] - moments[0] >= MOST_SECONDS:
        return True
    if len(moments) <= WARM_UP + AT_LEAST:
        return False
    return iterations >= AT_MOST or seconds >= ENOUGH_SECONDS


def timed(moments: Sequence[float]) -> tuple[int, float]:
    """Returns how many iterations are timed, and their seconds: those after the warm-up.

    Of a run that was too slow to come so far all iterations count.
    """
    first = WARM_UP if len(moments) > WARM_UP + 1 else 0
    return len(moments) - 1 - first, moments[-1] - moments[first]


def peak_memory() -> int:
    """Returns the most bytes of memory that this process has had, of the loader's none."""
    status = Path("/proc/self/status")
    # What getrusage says holds the memory of the process that started this one, too.
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return 1024 * int(found[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _saved_at(marker: Path) -> float:
    """When the last checkpoint was whole, after which comes the evaluation."""
    return marker.stat().st_mtime if marker.exists() else time.time()


def with_clock() -> None:
    """Makes every loop of this process one with a clock."""
    run = TrainLoop.run

    def timed_run(
        self: TrainLoop, batches: Iterator[Any], start: int = 0, hooks: Sequence[Hook] = ()
    ) -> None:
        # Before the others: after training it comes last.
        run(self, batches, start, [Clock(self, Path(os.environ[RECORD])), *hooks])

    TrainLoop.run = timed_run


if __name__ == "__main__":
    os.environ[RECORD] = sys.argv[1]
if __name__ in ("__main__", "__mp_main__"):  # the processes of a run import this as the latter
    with_clock()
if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
