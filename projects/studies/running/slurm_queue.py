"""What SLURM's own commands say and do: sbatch, squeue, sacct, scancel. Engine-neutral."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from resnext_det.errors import UserError

_SECONDS = 120.0  # a busy controller takes long to answer


def submit(
    script: Path, options: Sequence[str], *, name: str, output: Path, after: Sequence[str] = ()
) -> str:
    """Submits a batch script and returns the number of its job.

    Args:
        script: the script.
        options: of sbatch, by the user; ours stand above them.
        name: for squeue.
        output: file that takes what it prints, after what is there.
        after: numbers of jobs that have to end well first.

    Raises:
        UserError: there is no sbatch, or it refuses.
    """
    pattern = str(output.resolve()).replace("%", "%%")  # sbatch fills in %j and the like
    words = [
        *options,
        "--parsable",
        f"--job-name={name}",
        f"--output={pattern}",
        "--open-mode=append",
    ]
    if after:
        words += [f"--dependency=afterok:{':'.join(after)}", "--kill-on-invalid-dep=yes"]
    said = _call("sbatch", *words, str(script), about=f"{name}: ")
    number = said.strip().split(";")[0]  # NUMBER or NUMBER;CLUSTER
    if not number.isdecimal():
        raise UserError(f"{name}: sbatch gave no job number but {said.strip()!r}")
    return number


def active_states() -> dict[str, str]:
    """Returns what waits or runs: job number -> SLURM's word for it.

    Raises:
        UserError: there is no squeue, or it fails.
    """
    said = _call("squeue", "--noheader", f"--user={os.getuid()}", "--format=%i %T")
    return dict(line.split(maxsplit=1) for line in said.splitlines() if len(line.split()) > 1)


def final_states(numbers: Sequence[str]) -> dict[str, str]:
    """Returns how jobs ended, as far as the accounting knows: number -> SLURM's word for it."""
    if not numbers:
        return {}
    words = ("--noheader", "--parsable2", "--allocations", "--format=JobID,State")
    try:
        said = _call("sacct", *words, f"--jobs={','.join(numbers)}")
    except UserError:  # a cluster may keep no accounts
        return {}
    lines = (line.split("|") for line in said.splitlines())
    return {line[0]: line[1] for line in lines if len(line) > 1}


def cancel(number: str) -> None:
    """Takes a job out of the queue.

    Raises:
        UserError: there is no scancel, or it fails.
    """
    _call("scancel", number)


def _call(program: str, *words: str, about: str = "") -> str:
    try:
        done = subprocess.run(
            [program, *words],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            start_new_session=True,  # Ctrl-C must not leave it half-way
        )
    except FileNotFoundError:
        raise UserError(
            f"--slurm: there is no {program} on this machine's PATH: give the command where SLURM "
            "is, on a login node for example"
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{program} did not answer within {_SECONDS:.0f} s: try again") from None
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise UserError(f"{about}{program} refused: {reason}")
    return done.stdout
