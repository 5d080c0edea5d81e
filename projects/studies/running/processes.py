"""A job as a process of this machine, begun here or by a study that is gone. Engine-neutral.

The process holds a lock in its job's folder for as long as it lives, also where the study that
began it was killed: nothing trains in one folder twice.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from projects.studies.code_version import CodeVersion
from projects.studies.folders.records import (
    CONSOLE,
    TIMES,
    Record,
    has_checkpoint,
    is_finished,
    new_record,
    read_record,
    settled,
    write_record,
)
from projects.studies.jobs import Job
from projects.studies.places import Place
from resnext_det.errors import UserError
from resnext_det.folder_locks import read_holder, try_lock, write_holder
from resnext_det.training.preemption import STATUS as PREEMPTED

LOCK = "study_job.lock"
_STOP_SECONDS = 30.0  # what an interrupted run gets to leave its checkpoint whole


class JobFailedError(RuntimeError):
    """A job ended with an error; the message holds its last lines."""


@dataclass
class RunningJob:
    """A job whose process runs.

    Attributes:
        job: the job.
        place: where it runs; None where the study that began it did not say.
        record: as it was written at the start.
        process: None where another study began it.
        status: its exit status; None while it runs, and for ever where nobody knows.
    """

    job: Job
    place: Place | None
    record: Record
    process: subprocess.Popen[bytes] | None = None
    status: int | None = None

    def has_ended(self) -> bool:
        """Tells whether it is over; then its record says how long it took."""
        if self.process is None:
            return not is_held(self.job)
        if self.status is not None:
            return True
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if not pid:
            return False
        self.status = self.process.returncode = os.waitstatus_to_exitcode(status)
        self._close(usage.ru_utime + usage.ru_stime)
        return True

    def kill(self, number: signal.Signals) -> None:
        """Sends it a signal, if it is a process of this machine.

        An interrupt goes to the process alone, which ends those that it started; a kill, which
        it cannot pass on, goes to all of its group.
        """
        send = os.killpg if number == signal.SIGKILL else os.kill  # each job leads its own group
        if self.process is not None:
            send(self.process.pid, number)
            return
        holder = read_holder(self.job.folder / LOCK)
        if holder and holder.is_alive and is_held(self.job):
            send(holder.pid, number)

    def check(self) -> None:
        """Makes sure that it ended well.

        Raises:
            JobFailedError: it ended with an error, without a result, or because it was told to.
        """
        if self.status == 0 and is_finished(self.job):
            return
        if self.status == PREEMPTED:
            raise JobFailedError(
                f"{self.job.title}: was told to stop and has saved its state; the same command "
                "goes on with it"
            )
        path = self.job.folder / CONSOLE
        tail = "\n".join(f"    {line}" for line in last_lines(path))
        raise JobFailedError(
            f"{self.job.title}: ended with status {self.status}; the end of {path}:\n{tail}"
        )

    def _close(self, cpu_seconds: float) -> None:
        """Writes down what this start took."""
        begun = self.record
        lasted = max(0.0, time.time() - (begun.started or time.time()))
        # A first start counts from 0; after one that nobody counted, the sum is unknown.
        known = begun.cpu_seconds is not None or not begun.seconds
        total = (begun.cpu_seconds or 0.0) + cpu_seconds if known else None
        self.record = replace(
            begun, seconds=begun.seconds + lasted, cpu_seconds=total, started=None
        )
        write_record(self.job.folder, self.record)


def is_held(job: Job) -> bool:
    """Tells whether a process trains in the job's folder."""
    if not os.path.lexists(job.folder / LOCK):
        return False
    descriptor = _lock(job)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def _lock(job: Job) -> int | None:
    path = job.folder / LOCK
    try:
        return try_lock(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be locked ({error.strerror}): remove it") from error


def check_free(job: Job) -> None:
    """Refuses a job's folder in which a process trains.

    Raises:
        UserError: one does.
    """
    if is_held(job):
        raise _in_use(job)


def _in_use(job: Job) -> UserError:
    holder = read_holder(job.folder / LOCK) or "another process"
    return UserError(f"{job.folder} is in use by {holder}: end it first")


def start(job: Job, words: list[str], place: Place, code: CodeVersion) -> RunningJob:
    """Starts a job, or goes on with it where it holds a checkpoint.

    Args:
        job: the job.
        words: its command.
        place: where it runs.
        code: what it is made by.

    Raises:
        UserError: another process trains in its folder.
    """
    lock = _lock(job)
    if lock is None:
        raise _in_use(job)
    try:
        if has_checkpoint(job) and (found := read_record(job.folder)):
            words, record = resumed(words), replace(settled(job.folder, found), slurm_job=None)
        else:
            record = new_record(job, code, place.num_gpus)
            (job.folder / TIMES).unlink(missing_ok=True)
        record = replace(record, started=time.time(), devices=place.devices)
        write_record(job.folder, record)
        with (job.folder / CONSOLE).open("ab") as console:
            process = subprocess.Popen(
                place.words(words),
                stdout=console,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **place.environment},
                start_new_session=True,  # Ctrl-C reaches a job once, from us
                pass_fds=[lock],
            )
        write_holder(lock, process.pid)
    finally:
        os.close(lock)  # from here on the job's process alone holds it
    return RunningJob(job, place, record, process)


def adopt(job: Job, code: CodeVersion) -> RunningJob | None:
    """Returns a job that an earlier call began and left running; None without one.

    Args:
        job: the job.
        code: what it has to be made by.

    Raises:
        UserError: what runs there is another job, or one of other sources.
    """
    if not is_held(job):
        return None
    record = read_record(job.folder)
    same_code = record and record.code and record.code.sources == code.sources
    if record is None or record.digest != job.digest or not same_code:
        holder = read_holder(job.folder / LOCK) or "another process"
        raise UserError(
            f"{job.folder} is in use by {holder}, with other settings or sources: end it first, "
            "or give another --output"
        )
    return RunningJob(job, None, record)


def stop(running: Sequence[RunningJob]) -> None:
    """Interrupts what still runs, as Ctrl-C would, and waits for it."""
    alive = [entry for entry in running if not entry.has_ended()]
    for entry in alive:
        entry.kill(signal.SIGINT)
    deadline = time.monotonic() + _STOP_SECONDS
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = [entry for entry in alive if not entry.has_ended()]
    for entry in alive:
        entry.kill(signal.SIGKILL)
    deadline = time.monotonic() + _STOP_SECONDS
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = [entry for entry in alive if not entry.has_ended()]


def resumed(words: Sequence[str]) -> list[str]:
    """The command that continues a job: its weights are the checkpoint's."""
    words = list(words)
    if "MODEL.WEIGHTS" in words:
        at = words.index("MODEL.WEIGHTS")
        words = [*words[:at], *words[at + 2 :]]
    at = words.index("--config-file")
    return [*words[:at], "--resume", *words[at:]]


def last_lines(path: Path, number: int = 15) -> list[str]:
    """Returns the end of what a job printed; nothing where it printed nothing."""
    if not path.exists():
        return []
    return path.read_text("utf-8", errors="replace").splitlines()[-number:]
