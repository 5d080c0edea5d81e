"""A study's rows from its runs' own files: metrics, cost, curves, commands. Engine-neutral."""

import functools
import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode

from projects.studies.folders.records import job_seconds
from projects.studies.grid import Cell
from projects.studies.jobs import Job
from projects.studies.shell import job_command
from resnext_det.config.tree import task_of
from resnext_det.errors import UserError
from resnext_det.json_files import read_json
from resnext_det.modeling.complexity import Complexity, measure_complexity
from resnext_det.modeling.from_config import backbone_from_config, classifier_from_config
from resnext_det.reports.curves import read_metrics
from resnext_det.training.result import RESULT

MAX_POINTS = 200
_NETWORK = ("BACKBONE", "RESNETS", "CLASSIFIER")  # all that the models read of a config
_STAGES = ("res2", "res3", "res4", "res5")
_CURVES = {
    "classification": ("total_loss", "top1", "top5", "val/total_loss"),
    "detection": ("total_loss", "bbox/AP", "bbox/AP50", "val/total_loss"),
}


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        job: what was to be trained.
        result: its result.json.
    """

    job: Job
    result: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """What it trained: "classification" or "detection"."""
        return task_of(self.cfg)

    @functools.cached_property
    def cfg(self) -> CfgNode:
        """Its configuration."""
        return CfgNode(self.result["config"])


@dataclass(frozen=True)
class FinishedCell:
    """One row at one seed, trained.

    Attributes:
        cell: what was to be trained.
        runs: in the order of the jobs.
    """

    cell: Cell
    runs: tuple[Run, ...]

    @property
    def last(self) -> Run:
        """The run whose metrics the table shows."""
        return self.runs[-1]

    @property
    def pretraining(self) -> Run | None:
        """The classification run that a detector started from."""
        earlier = [run for run in self.runs[:-1] if run.kind == "classification"]
        return earlier[-1] if earlier else None

    @property
    def image_size(self) -> int:
        """Pixels of the square image that multiply-adds are counted for.

        Detectors resize to hundreds of pixels; 224 is what the paper states the cost for.
        """
        keys = self.last.cfg.INPUT
        if self.last.kind == "classification":
            return int(keys.CLASSIFICATION.TEST_CROP)
        return min(int(keys.MIN_SIZE_TEST) or 224, 224)


def read_run(job: Job) -> Run:
    """Reads a finished run.

    Raises:
        UserError: its result.json is not one that a run writes.
    """
    path = job.folder / RESULT
    try:
        result = read_json(path)
        missing = [key for key in ("config", "metrics", "versions", "engine") if key not in result]
    except (UserError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as a run's result ({error})") from None
    if missing:
        raise UserError(f"{path}: not a run's result, it has no {missing[0]!r}")
    return Run(job, result)


def read_cell(cell: Cell) -> FinishedCell:
    """Reads a finished chain of runs; see `read_run`."""
    return FinishedCell(cell, tuple(map(read_run, cell.jobs)))


def row_entry(finished: FinishedCell, output: Path) -> dict[str, Any]:
    """Returns one entry of "rows" of a study's result.json.

    Args:
        finished: the row at one seed.
        output: the study's folder, which paths are relative to.
    """
    row, last, pretraining = finished.cell.row, finished.last, finished.pretraining
    cost = complexity(finished)
    return {
        "model": row.model,
        "pretrained": row.pretrained,
        "pretraining": _pretraining(row.pretraining, pretraining),
        "note": row.note,
        "seed": finished.cell.seed,
        "metrics": last.result["metrics"],
        "pretraining_metrics": pretraining and pretraining.result["metrics"],
        "run": os.path.relpath(last.job.folder, output),
        "pretraining_run": pretraining and os.path.relpath(pretraining.job.folder, output),
        "params": cost.params,
        "flops": cost.flops,
        "seconds": job_seconds(last.job.folder),
        "speed": _speed(last),
        "commands": [job_command(job, output) for job in finished.cell.jobs],
        "curves": {run.kind: _curves(run) for run in finished.runs},
    }


def complexity(finished: FinishedCell) -> Complexity:
    """Counts a detector's backbone, or the whole classifier, as the config describes it."""
    last = finished.last
    model = {key: last.result["config"]["MODEL"][key] for key in _NETWORK}
    return _complexity(json.dumps(model), last.kind, finished.image_size)


@functools.cache
def _complexity(model: str, kind: str, image_size: int) -> Complexity:
    """Counts once what all seeds of a row share."""
    cfg = CfgNode({"MODEL": json.loads(model)})
    with torch.device("meta"):
        if kind == "classification":
            network = classifier_from_config(cfg)
        else:
            network = backbone_from_config(cfg, out_features=_STAGES)
    return measure_complexity(network, image_size)


def _pretraining(words: str, run: Run | None) -> str:
    top1 = run and run.result["metrics"].get("top1")
    if top1 is None:
        return words
    return ", ".join(part for part in (words, f"{top1:.1f} % top-1") if part)


def _speed(run: Run) -> dict[str, Any]:
    """Seconds of an iteration, as its metrics say them, the middle one; and where."""
    entries = read_metrics(run.job.folder)
    times = [entry["time"] for entry in entries if _is_finite(entry.get("time"))]
    return {
        "train_seconds_per_iteration": statistics.median(times) if times else None,
        "device": run.result["versions"].get("device"),
    }


def _curves(run: Run) -> dict[str, list[list[float]]]:
    """Returns metric -> [iterations, counted from 1; values] of those that the run wrote."""
    entries = read_metrics(run.job.folder)
    curves = {}
    for key in _CURVES[run.kind]:
        points = [(e["iteration"] + 1, e[key]) for e in entries if _is_finite(e.get(key))]
        if points:
            iterations, values = zip(*thinned(points), strict=True)
            curves[key] = [list(iterations), list(values)]
    return curves


def _is_finite(value: Any) -> bool:
    """Tells whether a metric can be drawn: a loss may have been nan, and a metric null."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Returns at most 200 points: the means of neighbours, each at the last one's iteration."""
    size = -(-len(points) // MAX_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), max(1, size))]
    return [(group[-1][0], round(statistics.fmean(v for _, v in group), 5)) for group in groups]
