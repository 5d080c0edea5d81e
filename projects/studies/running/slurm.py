"""Runs a study's jobs on a cluster: each is a batch script, submitted once. Engine-neutral.

    with hold_folder(output):
        finished = submit_jobs(grid.jobs, options="-p gpu --gres=gpu:1", console=console)

The call returns at once. The same call again leaves what waits or runs, submits again what
failed, and returns True when all are finished.
"""

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from projects.studies.code_version import CodeVersion, code_version
from projects.studies.folders.records import (
    CONSOLE,
    RECORD,
    TIMES,
    check_records,
    has_checkpoint,
    is_finished,
    new_record,
    read_record,
    write_record,
)
from projects.studies.jobs import Job, command
from projects.studies.places import with_gpus
from projects.studies.running.interrupts import interrupts_wait
from projects.studies.running.processes import check_free, last_lines, resumed
from projects.studies.running.slurm_queue import active_states, cancel, final_states, submit
from resnext_det.errors import UserError
from resnext_det.training.preemption import STATUS as PREEMPTED

SCRIPT = "study_job.sh"


def submit_jobs(
    jobs: Sequence[Job],
    *,
    options: str,
    console: Console,
    num_gpus: int = 1,
    make_command: Callable[[Job], list[str]] = command,
) -> bool:
    """Submits every job that is neither finished nor waits or runs already.

    A job starts after those it needs have ended well. One that failed is submitted again; where
    it has a checkpoint, it goes on from there.

    Args:
        jobs: each after those it needs.
        options: of sbatch, as in a shell.
        console: where it says what it did.
        num_gpus: processes of each run, which the options have to ask GPUs for.
        make_command: job -> the words that start it.

    Returns:
        Whether all are finished.

    Raises:
        UserError: a folder holds the run of another command or of other sources; SLURM's
            commands are missing, or refuse.
    """
    code = code_version()
    check_records(jobs, code, num_gpus)
    for job in jobs:
        check_free(job)
    words = _words(options)
    # Asked first: what leaves the queue after this has its result by the time we look for it.
    active = active_states() if any(not is_finished(job) for job in jobs) else {}
    return _Submission(words, console, num_gpus, make_command, code, active).run(jobs)


class _Submission:
    """One call's work: which jobs were left, and which numbers the new ones have."""

    def __init__(
        self,
        options: Sequence[str],
        console: Console,
        num_gpus: int,
        make_command: Callable[[Job], list[str]],
        code: CodeVersion,
        active: dict[str, str],
    ) -> None:
        self._options, self._console, self._num_gpus = options, console, num_gpus
        self._command, self._code, self._active = make_command, code, active
        self._numbers: dict[Path, str] = {}  # of what waits or runs, by folder
        self._new: set[Path] = set()

    def run(self, jobs: Sequence[Job]) -> bool:
        """Does it; returns whether all are finished."""
        unfinished = [job for job in jobs if not is_finished(job)]
        left = self._left(unfinished)
        gone = {job: number for job in unfinished if (number := self._gone(job))}
        endings = final_states(list(gone.values()))
        for job in unfinished:
            if job in left and not self._new.intersection(job.needs):
                self._numbers[job.folder] = left[job]
                continue
            if job in left:  # SLURM would keep it waiting for a job that has failed
                cancel(left[job])
            before = endings.get(gone[job], "gone from the queue") if job in gone else ""
            self._submit(job, before)
        counts = {
            "finished": len(jobs) - len(unfinished),
            "wait or run": len(unfinished) - len(self._new),
            "submitted": len(self._new) - len(gone),
            "failed and submitted again": len(gone),
        }
        found = ", ".join(f"{number} {words}" for words, number in counts.items() if number)
        self._say(f"Of {len(jobs)} runs: {found or 'none to submit'}.")
        if unfinished:
            self._say("The same command says how they are, and makes the table once all are done.")
        return not unfinished

    def _left(self, jobs: Sequence[Job]) -> dict[Job, str]:
        """Returns the numbers of those that wait or run.

        Raises:
            UserError: one of them has other settings or sources.
        """
        found = {}
        for job in jobs:
            record = read_record(job.folder)
            if record is None or record.slurm_job not in self._active:
                continue
            code = record.code and record.code.sources
            if record.digest != job.digest or code != self._code.sources:
                raise UserError(
                    f"{job.folder} waits or runs in SLURM as job {record.slurm_job}, with other "
                    f"settings or sources: scancel {record.slurm_job}, or give another --output"
                )
            found[job] = record.slurm_job
        return found

    def _gone(self, job: Job) -> str | None:
        """Returns the number of a job that left the queue without a result."""
        record = read_record(job.folder)
        number = record and record.slurm_job
        return number if number not in self._active else None

    def _submit(self, job: Job, before: str) -> None:
        script = _write_script(job, self._command(job), self._code, self._num_gpus)
        after = [self._numbers[need] for need in job.needs if need in self._numbers]
        last = (last_lines(job.folder / CONSOLE, 1) or [""])[0].strip()
        with interrupts_wait():  # else it would be submitted twice
            number = submit(
                script, self._options, name=job.title, output=job.folder / CONSOLE, after=after
            )
            old = read_record(job.folder) if has_checkpoint(job) else None
            record = old or new_record(job, self._code, self._num_gpus)
            write_record(job.folder, replace(record, slurm_job=number))
        self._numbers[job.folder] = number
        self._new.add(job.folder)
        words = "submitted again as" if before else "submitted as"
        ended = f"{before}{f' ({last})' if last else ''}; " if before else ""
        later = f", after {', '.join(after)}" if after else ""
        resume = ", goes on from its checkpoint" if has_checkpoint(job) else ""
        self._say(f"{job.title}: {ended}{words} job {number}{later}{resume}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)


def check_not_in_slurm(jobs: Sequence[Job]) -> None:
    """Refuses to run here what a cluster may be running.

    Raises:
        UserError: a job was submitted, and waits or runs, or nobody here can say.
    """
    submitted = {}
    for job in jobs:
        record = read_record(job.folder)
        if record and record.slurm_job and not is_finished(job):
            submitted[job] = record.slurm_job
    if not submitted:
        return
    try:
        active = active_states()
    except UserError as error:
        job, number = next(iter(submitted.items()))
        raise UserError(
            f"{job.folder} was submitted to SLURM as job {number}, and whether it still runs is "
            f"not to be had here ({error}); where it does not, remove slurm_job from "
            f"{job.folder / RECORD}"
        ) from error
    for job, number in submitted.items():
        if number in active:
            raise UserError(
                f"{job.folder} is job {number} in SLURM ({active[number]}): give --slurm again, "
                f"or scancel {number} first"
            )


def _words(options: str) -> list[str]:
    try:
        return shlex.split(options)
    except ValueError as error:
        raise UserError(f"--slurm {options}: cannot be split into words ({error})") from error


def _write_script(job: Job, words: Sequence[str], code: CodeVersion, num_gpus: int) -> Path:
    """Writes the batch script of a job; SLURM may start it again by itself, to go on.

    The script passes a warning on (`--signal=B:USR1@120`), and a job that has saved its state
    because of it asks to be started again.
    """
    folder = job.folder.resolve()
    python, check = words[0], Path(__file__).parents[1] / "code_version.py"
    fresh = with_gpus(words, num_gpus)
    times, output = shlex.quote(str(folder / TIMES)), shlex.quote(str(folder))
    # As `newest.holds_run` does.
    checkpoint = f"ls {output} | grep -Eqx 'last_checkpoint|model_(final|[0-9]{{7,}})[.]pth'"
    text = f"""#!/bin/bash
# {" ".join(job.title.split())}: written and submitted by the study's command.
cd {shlex.quote(os.getcwd())} || exit 1
{shlex.join([python, str(check), code.sources])} || exit 2
times={times}
trap 'echo "end $(date +%s)" >> "$times"' EXIT
trap 'kill -USR1 "$run"' USR1
trap 'kill -TERM "$run"' TERM
run() {{
  "$@" & run=$!
  while true; do  # a signal ends a wait, not the run
    wait "$run"; status=$?
    kill -0 "$run" 2> /dev/null || break
  done
  [ "$status" -le 128 ] || {{ wait "$run"; status=$?; }}
}}
if {checkpoint}; then
  echo "start $(date +%s)" >> "$times"
  run {shlex.join(resumed(fresh))}
else
  echo "start $(date +%s)" > "$times"
  run {shlex.join(fresh)}
fi
[ "$status" -ne {PREEMPTED} ] || scontrol requeue "$SLURM_JOB_ID"
exit "$status"
"""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / SCRIPT
    script.write_text(text)
    return script
