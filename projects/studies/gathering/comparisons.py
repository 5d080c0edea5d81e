"""A study's pairs of rows, compared over all seeds and images. Engine-neutral."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from projects.studies.gathering.rows import FinishedCell
from projects.studies.grid import Grid, StudyRow
from projects.studies.job_words import output_folder
from projects.studies.test_sets import ScoredSet
from resnext_det.classification.ranks import RANKS_FILE
from resnext_det.evaluation.results_json import RESULTS_FILE
from resnext_det.statistics.bootstrap import PairedDifference
from resnext_det.statistics.classification import paired_topk_differences
from resnext_det.statistics.detection import paired_differences
from resnext_det.statistics.precision_recall import precision_recall
from resnext_det.statistics.sentences import difference_sentence

IOUS: Mapping[str, float | None] = {"0.5": 0.5, "0.75": 0.75, "mean": None}
_PAIRED: dict[str, Path] = {"detection": RESULTS_FILE, "classification": RANKS_FILE}


def files_of(cells: Sequence[FinishedCell], row: StudyRow, name: Path) -> dict[int, Path]:
    """Returns seed -> a file of the last run of a row."""
    return {c.cell.seed: output_folder(c.last.job) / name for c in cells if c.cell.row == row}


def differences(
    grid: Grid, cells: Sequence[FinishedCell], test_set: ScoredSet
) -> list[dict[str, Any]]:
    """Returns "differences" of a study's result.json: each pair's, in every metric.

    Raises:
        UserError: a run's detections or ranks are missing, or of other images.
    """
    found: list[dict[str, Any]] = []
    for first, second in grid.pairs:
        sides = [files_of(cells, row, _PAIRED[grid.kind]) for row in (first, second)]
        seeds = sorted(sides[0].keys() & sides[1].keys())
        paths = [[side[seed] for seed in seeds] for side in sides]
        names = {"first": grid.label_of(first), "second": grid.label_of(second)}
        compared = _compare(grid, test_set)(*paths)
        found += [
            {**names, **asdict(d), "text": difference_sentence(d, *names.values())}
            for d in compared
        ]
    return found


def _compare(
    grid: Grid, test_set: ScoredSet
) -> Callable[[Sequence[Path], Sequence[Path]], list[PairedDifference]]:
    if grid.kind == "classification":
        return paired_topk_differences
    return lambda first, second: paired_differences(test_set.annotations, first, second)


def precision_recall_entry(
    grid: Grid, cells: Sequence[FinishedCell], test_set: ScoredSet
) -> dict[str, Any]:
    """Returns "precision_recall" of a detection study's result.json; recall and precision 0 … 1."""
    curves = []
    for row in grid.rows:
        results = list(files_of(cells, row, RESULTS_FILE).values())
        for name, iou in IOUS.items():
            curve = precision_recall(test_set.annotations, results, iou)
            if curve is not None:
                lines = {key: _shares(getattr(curve, key)) for key in ("precision", "low", "high")}
                key = {"model": row.model, "pretrained": row.pretrained, "note": row.note}
                curves.append({**key, "iou": iou or name, **lines})
    return {"recall": [number / 100 for number in range(101)], "curves": curves}


def _shares(percent: Sequence[float] | None) -> list[float] | None:
    return None if percent is None else [round(value / 100, 4) for value in percent]
