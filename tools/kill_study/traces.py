"""What the folder of a killed run tells of the moment of its death. Engine-neutral."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from resnext_det.training.checkpoint_file import DamagedCheckpointError, load_checkpoint
from resnext_det.training.newest import latest_checkpoint
from resnext_det.whole_files import PARTIAL

Phase = Literal["start-up", "training", "checkpoint", "evaluation", "end"]
_HALF_WRITTEN = f".model_*{PARTIAL}"
_STARTED = ("Training on ", "Training with the ")
"""What the log says before the first iteration: of a classifier, and of a detector."""
_EVALUATES = re.compile(r"INFO (Evaluating \S+: \d+ images|Start inference on )")
"""What the log says once where an evaluation begins: ours, and Detectron2's."""


@dataclass(frozen=True)
class Before:
    """What was in the folder when a run was started.

    Attributes:
        log: bytes of log.txt.
        half_written: what an earlier kill had left.
    """

    log: int = 0
    half_written: frozenset[str] = frozenset()

    @classmethod
    def of(cls, folder: Path) -> "Before":
        """Looks at a folder before its run is started."""
        log = folder / "log.txt"
        left = frozenset(path.name for path in folder.glob(_HALF_WRITTEN))
        return cls(log.stat().st_size if log.is_file() else 0, left)


def log_since(folder: Path, before: Before) -> str:
    """Returns what this start of the run has logged; "" where there is no log."""
    log = folder / "log.txt"
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(before.log)
        return file.read().decode(errors="replace")


def begun_evaluations(log: str) -> int:
    """Counts the evaluations that a log tells of."""
    return len(_EVALUATES.findall(log))


def has_started(log: str) -> bool:
    """Tells whether a log has come to the first iteration, about."""
    return any(mark in log for mark in _STARTED)


def phase_of(folder: Path, before: Before) -> Phase:
    """Returns what a run that has just been killed was at.

    A file that is half written tells of a checkpoint; an evaluation that the log tells of and
    metrics.json has no line for, of an evaluation. "end" is after model_final.pth.
    """
    if half_written(folder, before):
        return "checkpoint"
    log = log_since(folder, before)
    if not has_started(log):
        return "start-up"
    if begun_evaluations(log) > evaluations_since(folder, before):
        return "evaluation"
    return "end" if (folder / "model_final.pth").is_file() else "training"


def half_written(folder: Path, before: Before) -> set[str]:
    """Returns the files of checkpoints that this start of the run is, or was, writing."""
    return {path.name for path in folder.glob(_HALF_WRITTEN)} - before.half_written


def evaluations_since(folder: Path, before: Before) -> int:
    """Counts this start's evaluations that have ended: those of its iterations."""
    first = _first_iteration(log_since(folder, before))
    return sum(line["iteration"] >= first for line in evaluations(folder))


def evaluations(folder: Path) -> list[dict[str, Any]]:
    """Returns the lines of metrics.json that evaluations wrote, a torn last line left out."""
    return [line for line in curves(folder) if "data_time" not in line]


def curves(folder: Path) -> list[dict[str, Any]]:
    """Returns the lines of metrics.json, a torn last line left out."""
    path = folder / "metrics.json"
    found = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def newest_iteration(folder: Path) -> int | None:
    """Returns the last finished iteration of the checkpoint that a run would go on from."""
    newest = latest_checkpoint(folder)
    try:
        return None if newest is None else load_checkpoint(newest)["iteration"]
    except DamagedCheckpointError:
        return None


def _first_iteration(log: str) -> int:
    """The iteration that a start of a run begins with."""
    for line in log.splitlines():
        if "Resuming from " in line:
            return int(line.rsplit(" ", 1)[1])
    return 0
