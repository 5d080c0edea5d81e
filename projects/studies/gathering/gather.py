"""A study's result.json, gathered from its finished runs. Engine-neutral."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from projects.studies.findings import FindingsOf
from projects.studies.folders.records import check_finished, is_finished, read_record
from projects.studies.gathering.checks import checks, shared_settings
from projects.studies.gathering.comparisons import differences, precision_recall_entry
from projects.studies.gathering.origins import check_origins
from projects.studies.gathering.pictures import picture_entries
from projects.studies.gathering.rows import FinishedCell, Run, read_cell, row_entry
from projects.studies.grid import Grid
from projects.studies.job_words import job_words
from projects.studies.jobs import Job
from projects.studies.kept_files import read_kept
from projects.studies.options import StudyOptions
from projects.studies.shell import shell_command
from projects.studies.test_sets import ScoredSet, dataset_entry, keep_test_set
from resnext_det.errors import UserError, few
from resnext_det.training.result import RESULT
from resnext_det.whole_files import write_text_safe

_OURS = ("title", "kind", "scale")


def gather(
    grid: Grid,
    options: StudyOptions,
    test_set: ScoredSet,
    *,
    findings: FindingsOf,
    seconds: float | None = None,
) -> Path:
    """Writes the study's result.json from its finished runs.

    Args:
        grid: the study.
        options: its options.
        test_set: what its rows are scored on, as it is now, after the last run.
        findings: the study's own sentences, after those of the checks.
        seconds: what the whole took; None where parts had been finished before, which keeps what
            an earlier file of the same rows says.

    Returns:
        Path of result.json.

    Raises:
        UserError: runs are missing, of other settings than the grid's, or of different code
            versions, engines, classes or test sets, a file there is another study's or another
            run's, or the test set is another than when the study was begun.
    """
    path = grid.output / RESULT
    before = check_result(grid)
    if missing := unfinished(grid):
        names = [os.path.relpath(job.folder, grid.output) for job in missing]
        raise UserError(
            f"{grid.output}: {len(missing)} of {len(grid.jobs)} runs are not finished: "
            f"{few(names, 6)}; the same command without --gather-only finishes them"
        )
    keep_test_set(grid, test_set)  # hours may have gone by since it was looked at
    cells = [read_cell(cell) for cell in grid.cells]
    check_finished(grid.jobs)
    check_origins(cells, grid.output)
    _check_same(cells)
    content = _content(grid, options, test_set, cells)
    same_rows = _runs_of(before) == _runs_of(content)
    content["seconds"] = before.get("seconds") if seconds is None and same_rows else seconds
    content["findings"] = [*checks(grid, cells, test_set), *findings(content)]
    write_text_safe(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return path


def unfinished(grid: Grid) -> list[Job]:
    """Returns the jobs without a result."""
    return [job for job in grid.jobs if not is_finished(job)]


def check_result(grid: Grid) -> dict[str, Any]:
    """Reads the result.json that is to be written anew.

    Returns:
        What it holds; {} where there is none yet.

    Raises:
        UserError: it is another study's, or a run's, or holds more than this command asks for.
    """
    path = grid.output / RESULT
    content = read_kept(path)
    if content is None:
        return {}
    wanted = {"title": grid.title, "kind": grid.kind, "scale": grid.scale}
    found = {key: content.get(key) for key in _OURS}
    if found != wanted:
        named = found.get("title") or "no study"
        scale = f" at scale {found['scale']}" if found.get("scale") else ""
        raise UserError(
            f"{path} is of {named}{scale}, not of {grid.title} at scale {grid.scale}, and is not "
            "overwritten: give another --output"
        )
    asked = {os.path.relpath(cell.jobs[-1].folder, grid.output) for cell in grid.cells}
    if lost := sorted(_runs_of(content) - asked):
        raise UserError(
            f"{path} has {len(lost)} runs that this command leaves out ({few(lost, 3)}), and is "
            "not overwritten by less: ask for these --rows and --seeds too, or move it away"
        )
    return content


def _runs_of(content: Mapping[str, Any]) -> set[str]:
    """Returns the folders of a table's runs."""
    return {str(row.get("run")) for row in content.get("rows", []) if isinstance(row, dict)}


def _content(
    grid: Grid, options: StudyOptions, test_set: ScoredSet, cells: Sequence[FinishedCell]
) -> dict[str, Any]:
    last = cells[0].last.result
    records = (read_record(job.folder) for job in reversed(grid.jobs))
    # Of several commits with the same sources, the last run's: its configs are the newest.
    code = next((record.code for record in records if record and record.code), None)
    detection = grid.kind == "detection"
    return {
        "title": grid.title,
        "kind": grid.kind,
        "scale": grid.scale,
        "command": shell_command(_whole(options.words), grid.output),
        "code": code and code.to_json(),
        "versions": last["versions"],
        "engine": last["engine"],
        "seconds": None,
        "settings": shared_settings(grid, cells),
        "dataset": dataset_entry(grid, test_set, last.get("class_names", [])),
        "rows": [row_entry(cell, grid.output) for cell in cells],
        "differences": differences(grid, cells, test_set),
        "precision_recall": precision_recall_entry(grid, cells, test_set) if detection else {},
        "pictures": picture_entries(grid, cells, test_set, options.pictures) if detection else [],
        "published": list(grid.published),
        **grid.more,
    }


def _whole(words: Sequence[str]) -> list[str]:
    """Returns the command that would run the study, also where this one only gathers."""
    return [word for word in words if word != "--gather-only"]


def _check_same(cells: Sequence[FinishedCell]) -> None:
    """Refuses rows that cannot stand in one table.

    Raises:
        UserError: two rows have other versions, another engine, other classes or another test set.
    """
    first = cells[0].last
    for cell in cells[1:]:
        for words, value in _common(cell.last).items():
            if value != _common(first)[words]:
                raise UserError(
                    f"{first.job.folder} and {cell.last.job.folder} have different {words} "
                    f"({_common(first)[words]} and {value}), so one table cannot hold both: remove "
                    "one of the folders, and the same command trains it anew"
                )


def _common(run: Run) -> dict[str, Any]:
    """Returns what all rows have to have in common, by what a message calls it."""
    versions = {k: v for k, v in run.result["versions"].items() if k != "device"}
    return {
        "engines": run.result["engine"],
        "versions of packages": versions,
        "classes": run.result.get("class_names"),
        "test sets": _test_data(run.job),
    }


def _test_data(job: Job) -> list[str]:
    """Returns what the command says of its test set; nothing where the config names it."""
    return job_words(job).test_data
