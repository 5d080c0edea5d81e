"""One line per job: how far it is and how it does, from its metrics.json. Engine-neutral."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from projects.studies.jobs import Job
from resnext_det.reports.curves import read_metrics

_READ_SECONDS = 1.0
_LINE_SECONDS = 30.0  # between lines where the output is no terminal
# What stands at the end of a finished job's line, the first that it has.
_SCORES = (("bbox/AP50", "AP50"), ("top1", "top-1"), ("acc@1", "top-1"))


class Board:
    """Bars on a terminal; plain lines, now and then, anywhere else.

    Args:
        jobs: in the order of the display.
        console: where it goes.
    """

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self._console = console
        self._next_read: dict[Job, float] = {}
        self._next_line: dict[Job, float] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[words]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[Job, TaskID] = {
            job: self._progress.add_task(
                job.title, total=job.max_iter, start=False, words="waiting"
            )
            for job in jobs
        }

    def __enter__(self) -> "Board":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def start(self, job: Job, words: str = "started") -> None:
        """Starts a job's clock.

        Args:
            job: the job.
            words: on how it started.
        """
        self._progress.start_task(self._tasks[job])
        self._progress.update(self._tasks[job], words="starting")
        self._next_line[job] = time.monotonic() + _LINE_SECONDS
        self._say(f"{job.title}: {words}")

    def update(self, job: Job) -> None:
        """Reads where a running job is, at most once a second."""
        now = time.monotonic()
        if now < self._next_read.get(job, 0.0):
            return
        self._next_read[job] = now + _READ_SECONDS
        done, words = status(job)
        self._progress.update(self._tasks[job], completed=done, words=words)
        if now >= self._next_line[job]:
            self._next_line[job] = now + _LINE_SECONDS
            self._say(f"{job.title}: {done}/{job.max_iter}  {words}")

    def finish(self, job: Job, *, seconds: float | None) -> None:
        """Shows a job as done.

        Args:
            job: the job.
            seconds: what it took; None when it had been finished before.
        """
        entries = read_metrics(job.folder)
        words = ["finished before" if seconds is None else f"{seconds:.0f} s"]
        words += [
            f"{name} {entry[key]:.1f}"
            for key, name in _SCORES
            for entry in reversed(entries)
            if entry.get(key) is not None
        ][:1]
        self._progress.start_task(self._tasks[job])
        self._progress.update(self._tasks[job], completed=job.max_iter, words=", ".join(words))
        self._progress.stop_task(self._tasks[job])
        self._say(f"{job.title}: done, {', '.join(words)}")

    def _say(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(line, highlight=False, soft_wrap=True)


def status(job: Job) -> tuple[int, str]:
    """Returns the iterations a job has done and words on how it does."""
    entries = read_metrics(job.folder)
    if not entries:
        return 0, "starting"
    done = int(entries[-1]["iteration"]) + 1
    if done >= job.max_iter:
        return done, "evaluating"
    return done, f"loss {_latest(entries, 'total_loss')}"


def _latest(entries: Sequence[dict[str, Any]], key: str) -> str:
    values = [entry[key] for entry in entries if entry.get(key) is not None]
    return f"{values[-1]:.3f}" if values else "–"
