"""Runs jobs as processes, several side by side, and shows how far each is. Engine-neutral."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from projects.studies.jobs import Job, command
from projects.studies.progress import Board
from resnext_det.errors import UserError
from resnext_det.whole_files import write_text_safe

_RECORD = "study_job.json"
_CONSOLE = "console.txt"
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_STOP_SECONDS = 30.0  # what an interrupted run gets to leave its checkpoint whole


class JobFailedError(RuntimeError):
    """A job ended with an error; the message holds its last lines."""


@dataclass
class _Running:
    job: Job
    process: subprocess.Popen[bytes]
    earlier: float  # seconds of earlier starts
    begin: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return self.earlier + time.monotonic() - self.begin


def run_jobs(
    jobs: Sequence[Job],
    *,
    side_by_side: int,
    console: Console,
    make_command: Callable[[Job], list[str]] = command,
) -> bool:
    """Runs every job that is not finished, one thread each.

    A job whose result is there is skipped; one with a checkpoint continues with --resume.

    Args:
        jobs: in the order of their start; a job waits for those it needs.
        side_by_side: how many at a time.
        console: where progress goes.
        make_command: job -> the words that start it.

    Returns:
        Whether every job ran from its beginning, now.

    Raises:
        JobFailedError: a job ended with an error; those beside it are stopped.
        UserError: a folder holds the run of another command.
        KeyboardInterrupt: after the running jobs were stopped.
    """
    for job in jobs:
        _check_same_command(job)
    fresh = not any(_is_finished(job) or _has_checkpoint(job) for job in jobs)
    waiting = [job for job in jobs if not _is_finished(job)]
    running: list[_Running] = []
    with Board(jobs, console) as board:
        for job in jobs:
            if _is_finished(job):
                board.finish(job, seconds=None)
        try:
            while waiting or running:
                ready = [job for job in waiting if all(map(_folder_is_finished, job.needs))]
                for job in ready[: side_by_side - len(running)]:
                    waiting.remove(job)
                    running.append(_start(job, make_command(job)))
                    board.start(job)
                time.sleep(0.2)
                running = [entry for entry in running if not _has_ended(entry, board)]
        finally:
            _stop(running)
    return fresh


def job_seconds(folder: Path) -> float | None:
    """Returns the seconds a finished job took over all its starts, None where unknown."""
    path = folder / _RECORD
    return json.loads(path.read_text()).get("seconds") if path.exists() else None


def _start(job: Job, words: list[str]) -> _Running:
    job.folder.mkdir(parents=True, exist_ok=True)
    if _has_checkpoint(job):
        words = resumed(words)
    earlier = (job_seconds(job.folder) or 0.0) if "--resume" in words else 0.0
    _write_record(job, earlier)
    with (job.folder / _CONSOLE).open("ab") as console:
        process = subprocess.Popen(
            words,
            stdout=console,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **_THREADS},
            start_new_session=True,  # Ctrl-C reaches a job once, from us
        )
    return _Running(job, process, earlier)


def resumed(words: list[str]) -> list[str]:
    """The command that continues a job: its weights are the checkpoint's."""
    if "MODEL.WEIGHTS" in words:
        at = words.index("MODEL.WEIGHTS")
        words = [*words[:at], *words[at + 2 :]]
    at = words.index("--config-file")
    return [*words[:at], "--resume", *words[at:]]


def _has_ended(entry: _Running, board: Board) -> bool:
    """Updates the display, and tells whether the job is done.

    Raises:
        JobFailedError: it ended with an error, or without a result.
    """
    board.update(entry.job)
    status = entry.process.poll()
    if status is None:
        return False
    _write_record(entry.job, entry.seconds)
    if status != 0 or not _is_finished(entry.job):
        lines = (entry.job.folder / _CONSOLE).read_text(errors="replace").splitlines()
        tail = "\n".join(f"    {line}" for line in lines[-15:])
        raise JobFailedError(
            f"{entry.job.title}: ended with status {status}; "
            f"the end of {entry.job.folder / _CONSOLE}:\n{tail}"
        )
    board.finish(entry.job, seconds=entry.seconds)
    return True


def _stop(running: Sequence[_Running]) -> None:
    """Interrupts what still runs, as Ctrl-C would, and waits for it."""
    alive = [entry for entry in running if entry.process.poll() is None]
    for entry in alive:
        entry.process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + _STOP_SECONDS
    for entry in alive:
        try:
            entry.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            entry.process.kill()
            entry.process.wait()
        _write_record(entry.job, entry.seconds)


def _write_record(job: Job, seconds: float) -> None:
    write_text_safe(job.folder / _RECORD, json.dumps({"digest": job.digest, "seconds": seconds}))


def _check_same_command(job: Job) -> None:
    path = job.folder / _RECORD
    started = _is_finished(job) or _has_checkpoint(job)
    if started and (not path.exists() or json.loads(path.read_text())["digest"] != job.digest):
        raise UserError(
            f"{job.folder} holds a run with other settings: remove the folder, or give "
            "another --output"
        )


def _is_finished(job: Job) -> bool:
    return _folder_is_finished(job.folder)


def _folder_is_finished(folder: Path) -> bool:
    return (folder / "result.json").exists()


def _has_checkpoint(job: Job) -> bool:
    return (job.folder / "last_checkpoint").exists()
