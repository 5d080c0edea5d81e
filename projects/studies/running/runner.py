"""Runs jobs as processes, several side by side, and shows how far each is. Engine-neutral.

    with hold_folder(output):                                   # …folders.study_folder
        fresh = run_jobs(grid.jobs, places=cpu_places(2), console=console)

Places come from `projects.studies.places`; clusters have `projects.studies.running.slurm`.
"""

import time
from collections.abc import Callable, Sequence

from rich.console import Console

from projects.studies.code_version import CodeVersion, code_version, current_sources
from projects.studies.folders.records import (
    check_records,
    folder_is_finished,
    is_finished,
    is_started,
    job_seconds,
    read_record,
    settled,
    write_record,
)
from projects.studies.jobs import Job, command
from projects.studies.places import Place
from projects.studies.running.interrupts import interrupts_wait
from projects.studies.running.processes import RunningJob, adopt, is_held, start, stop
from projects.studies.running.progress import Board
from projects.studies.running.slurm import check_not_in_slurm
from resnext_det.errors import UserError

_PERIOD = 0.2


def run_jobs(
    jobs: Sequence[Job],
    *,
    places: Sequence[Place],
    console: Console,
    make_command: Callable[[Job], list[str]] = command,
) -> bool:
    """Runs every job that is not finished, each in a place of its own.

    A job whose result is there is skipped; one with a checkpoint continues with --resume; one
    that an earlier call began and that still runs is waited for.

    Args:
        jobs: in the order of their start; a job waits for those it needs.
        places: as many run at a time.
        console: where progress goes.
        make_command: job -> the words that start it.

    Returns:
        Whether every job ran from its beginning, now.

    Raises:
        JobFailedError: a job ended with an error; those beside it are stopped.
        UserError: a folder holds the run of another command or of other sources, or the sources
            change while the study runs.
        KeyboardInterrupt: after the running jobs were stopped.
    """
    assert places
    made = {job.folder for job in jobs}
    assert all(made.issuperset(job.needs) for job in jobs), "a job waits for what no job makes"
    code = code_version()
    check_records(jobs, code, places[0].num_gpus)
    check_not_in_slurm(jobs)
    fresh = not any(is_started(job) or is_held(job) for job in jobs)
    with Board(jobs, console) as board:
        _Study(jobs, places, board, code, make_command).run()
    return fresh


class _Study:
    """Which jobs wait, and which run where."""

    def __init__(
        self,
        jobs: Sequence[Job],
        places: Sequence[Place],
        board: Board,
        code: CodeVersion,
        make_command: Callable[[Job], list[str]],
    ) -> None:
        self._free, self._board, self._code = list(places), board, code
        self._command = make_command
        self._waiting = [job for job in jobs if not is_finished(job)]
        self._running: list[RunningJob] = []
        for job in jobs:
            if is_finished(job):
                _settle(job)
                board.finish(job, seconds=None)

    def run(self) -> None:
        """Runs them all; whatever ends it, no process is left."""
        try:
            self._adopt()
            while self._waiting or self._running:
                self._start_ready()
                _pause()
                self._running = [entry for entry in self._running if not self._has_ended(entry)]
        finally:
            stop(self._running)

    def _adopt(self) -> None:
        """Takes over what an earlier call left running; each takes a place."""
        for job in list(self._waiting):
            entry = adopt(job, self._code)
            if entry is None:
                continue
            self._waiting.remove(job)
            self._running.append(entry)
            same = [place for place in self._free if place.devices == entry.record.devices]
            entry.place = next(iter(same or self._free), None)
            if entry.place is not None:
                self._free.remove(entry.place)
            self._board.start(entry.job, words="still runs from an earlier start")

    def _start_ready(self) -> None:
        ready = [job for job in self._waiting if all(map(folder_is_finished, job.needs))]
        for job in ready[: len(self._free)]:
            if current_sources() != self._code.sources:
                raise UserError(
                    f"the package's sources were changed while the study ran ({self._code} began "
                    f"it): {self._code.how_to_return}, and give the same command again"
                )
            self._waiting.remove(job)
            place = self._free.pop(0)
            with interrupts_wait():  # else it might run on, unknown
                self._running.append(start(job, self._command(job), place, self._code))
            self._board.start(job)

    def _has_ended(self, entry: RunningJob) -> bool:
        self._board.update(entry.job)
        if not entry.has_ended():
            return False
        if entry.place is not None:
            self._free.append(entry.place)
        if entry.process is not None:
            entry.check()
        elif not is_finished(entry.job):  # stopped, or failed: a start of our own will tell
            self._waiting.insert(0, entry.job)
            return True
        self._board.finish(entry.job, seconds=_settle(entry.job))
        return True


def _pause() -> None:
    time.sleep(_PERIOD)


def _settle(job: Job) -> float | None:
    """Writes down the time of a start that ended unseen; returns what the job took."""
    record = read_record(job.folder)
    if record is None:
        return None
    if record.started is not None:
        record = settled(job.folder, record)
        write_record(job.folder, record)
    return job_seconds(job.folder)
