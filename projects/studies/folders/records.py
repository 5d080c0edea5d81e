"""What each job's folder says of its run, and which folders may be continued. Engine-neutral."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from projects.studies.code_version import CodeVersion
from projects.studies.jobs import Job
from resnext_det.errors import UserError
from resnext_det.json_files import read_json
from resnext_det.training.newest import holds_run
from resnext_det.whole_files import write_text_safe

RECORD = "study_job.json"
CONSOLE = "console.txt"
RESULT = "result.json"
TIMES = "study_times.txt"
"""When a job's batch script started and ended: lines of `start` or `end`, seconds since 1970."""


@dataclass(frozen=True)
class Record:
    """A job's run so far.

    Attributes:
        digest: of the job that was started.
        command: as a user would type it.
        code: the sources that began it; None in records of before there was this entry.
        seconds: wall clock over all its starts that have ended.
        cpu_seconds: of all its processes; None where nobody counted them.
        num_gpus: processes it trains with.
        devices: what CUDA called the GPUs of its last start.
        started: the clock, in seconds since 1970, when the start began that has not ended as
            far as the study knows; None without one.
        slurm_job: the number that SLURM gave its last start.
    """

    digest: str
    command: str = ""
    code: CodeVersion | None = None
    seconds: float = 0.0
    cpu_seconds: float | None = None
    num_gpus: int = 1
    devices: tuple[str, ...] = ()
    started: float | None = None
    slurm_job: str | None = None


def read_record(folder: Path) -> Record | None:
    """Returns what a job's folder says; None where it holds no record.

    Raises:
        UserError: the record is damaged.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        content = read_json(path)
        code, devices = content.pop("code", None), tuple(content.pop("devices", ()))
        version = CodeVersion.from_json(code) if code else None
        return Record(**content, code=version, devices=devices)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: is no record of a study's run ({error}): remove its folder to train it anew"
        ) from error


def write_record(folder: Path, record: Record) -> None:
    """Writes a record, whole or not at all."""
    content: dict[str, Any] = {k: v for k, v in asdict(record).items() if v is not None}
    write_text_safe(folder / RECORD, json.dumps(content, indent=1) + "\n")


def new_record(job: Job, code: CodeVersion, num_gpus: int = 1) -> Record:
    """Returns the record of a job that starts from its beginning."""
    return Record(job.digest, typed_command(job, num_gpus), code, num_gpus=num_gpus)


def typed_command(job: Job, num_gpus: int = 1) -> str:
    """Returns the command that trains a job, as a user would type it in the checkout."""
    gpus = ["--num-gpus", str(num_gpus)] if num_gpus > 1 else []
    return shlex.join(["python", "train_net.py", *gpus, *job.arguments])


def settled(folder: Path, record: Record) -> Record:
    """Returns the record of a start that ended unseen, with the time it has taken.

    It was there, at least, when it last wrote its metrics, a checkpoint or its result.
    """
    if record.started is None:
        return record
    lasted = max(0.0, _last_written(folder) - record.started)
    return replace(record, seconds=record.seconds + lasted, started=None, cpu_seconds=None)


def job_seconds(folder: Path) -> float | None:
    """Returns the seconds a finished job took over all its starts, None where unknown."""
    record = read_record(folder)
    return None if record is None else settled(folder, record).seconds + _batch_seconds(folder)


def _last_written(folder: Path) -> float:
    names = (RESULT, "metrics.json", "last_checkpoint")
    return max(
        ((folder / name).stat().st_mtime for name in names if (folder / name).exists()), default=0.0
    )


def _batch_seconds(folder: Path) -> float:
    """Returns what a job's batch scripts took, all of them."""
    path = folder / TIMES
    moments = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    total, start = 0.0, None
    for word, moment in (*moments, ["end", str(_last_written(folder))]):
        if start is not None:  # one without an end was killed; the next start is no end of it
            total += max(0.0, float(moment) - start) if word == "end" else 0.0
        start = float(moment) if word == "start" else None
    return total


def folder_is_finished(folder: Path) -> bool:
    """Tells whether a job's result is there."""
    return (folder / RESULT).exists()


def is_finished(job: Job) -> bool:
    """Tells whether a job's result is there."""
    return folder_is_finished(job.folder)


def has_checkpoint(job: Job) -> bool:
    """Tells whether a job can be resumed."""
    return holds_run(job.folder)


def is_started(job: Job) -> bool:
    """Tells whether a job's folder holds a run, finished or not."""
    return is_finished(job) or has_checkpoint(job)


def check_records(jobs: Sequence[Job], code: CodeVersion, num_gpus: int = 1) -> None:
    """Refuses to continue or to keep runs that are not those of this study.

    Where every job is finished, the code of today does not matter.

    Args:
        jobs: all of the study.
        code: of what would be trained now.
        num_gpus: processes that each run would be trained with.

    Raises:
        UserError: a folder holds the run of another command, of other sources, or on another
            number of GPUs.
    """
    if all(map(is_finished, jobs)):
        check_finished(jobs)
        return
    for job in jobs:
        _check_same_command(job)
    for job in filter(is_started, jobs):
        record = _record_of(job)
        _check_sources(job, record, code)
        if record.num_gpus != num_gpus:
            raise UserError(
                f"{job.folder} was started on {record.num_gpus} GPUs a run, and now it would be "
                f"{num_gpus}: give --gpus-per-run {record.num_gpus}, or another --output"
            )


def check_finished(jobs: Sequence[Job]) -> None:
    """Refuses to gather runs that are not those of this study, or not of one code.

    Args:
        jobs: finished ones.

    Raises:
        UserError: a folder holds the run of another command, or two runs were made by different
            sources.
    """
    for job in jobs:
        _check_same_command(job)
    check_same_sources(jobs)


def check_same_sources(jobs: Sequence[Job]) -> None:
    """Refuses to compare runs that different sources made.

    Args:
        jobs: finished ones.

    Raises:
        UserError: the runs of two of them were made by different sources.
    """
    first: tuple[Job, Record] | None = None
    for job in jobs:
        record = read_record(job.folder)
        if record is None or record.code is None:
            continue
        first = first or (job, record)
        earlier = first[1].code
        if earlier and earlier.sources != record.code.sources:
            raise UserError(
                f"{first[0].folder} was trained by {earlier}, but {job.folder} by {record.code}: "
                "they cannot be compared; remove one of the folders, and the same command trains "
                "it anew"
            )


def _record_of(job: Job) -> Record:
    record = read_record(job.folder)
    assert record, "its command has been checked"
    return record


def _check_same_command(job: Job) -> None:
    if not is_started(job):
        return
    record = read_record(job.folder)
    if record is None or record.digest != job.digest:
        raise UserError(
            f"{job.folder} holds a run with other settings: remove the folder, or give "
            "another --output"
        )


def _check_sources(job: Job, record: Record, code: CodeVersion) -> None:
    if record.code is None:
        raise UserError(
            f"{job.folder} does not say by which sources it was trained, and today's are {code}: "
            "give another --output"
        )
    if record.code.sources != code.sources:
        raise UserError(
            f"{job.folder} was trained by {record.code}, and today's are {code}: to go on with "
            f"this study, {record.code.how_to_return}; or give another --output"
        )
