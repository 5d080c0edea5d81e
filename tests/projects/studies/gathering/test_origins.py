"""Finished runs whose files are another job's are refused, not tabled under a wrong name."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from projects.studies.findings import difference_findings
from projects.studies.gathering.gather import gather
from projects.studies.gathering.origins import check_origins
from projects.studies.gathering.rows import read_cell
from projects.studies.grid import Grid
from projects.studies.test_sets import find_test_set
from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of
from tests.projects.studies.finished_study import finished_grid, options_for, read

FILES = ("result.json", "inference/coco_instances_results.json")


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    return finished_grid(tmp_path)


def refusal(grid: Grid) -> str:
    with pytest.raises(UserError) as caught:
        gather(grid, options_for(grid), find_test_set(grid), findings=difference_findings)
    assert not (grid.output / "result.json").exists()
    return str(caught.value)


def test_two_rows_whose_results_changed_places(grid: Grid, tmp_path: Path) -> None:
    folders = [grid.cells[0].jobs[-1].folder, grid.cells[2].jobs[-1].folder]
    assert [folder.parent.name for folder in folders] == ["R_26_0", "X_26_0"]
    for name in FILES:
        aside = tmp_path / "aside"
        shutil.move(folders[0] / name, aside)
        shutil.move(folders[1] / name, folders[0] / name)
        shutil.move(aside, folders[1] / name)
    words = f"{folders[0]}: its result is of the run in {folders[1]}: remove the folder, and the"
    assert refusal(grid).startswith(words)


def test_an_evaluation_s_result_lies_below_the_folder_that_its_command_gives(grid: Grid) -> None:
    cell = read_cell(grid.cells[0])
    job = replace(cell.last.job, folder=cell.last.job.folder / "inference")
    moved = replace(cell, runs=(*cell.runs[:-1], replace(cell.last, job=job)))
    check_origins([moved], grid.output)
    other = replace(job, arguments=(*job.arguments, "OUTPUT_DIR", str(grid.output / "other")))
    wrong = replace(cell, runs=(replace(cell.last, job=other),))
    with pytest.raises(UserError, match=f"{job.folder}: its result is of the run in "):
        check_origins([wrong], grid.output)


def test_a_seed_copied_over_another(grid: Grid) -> None:
    first, second = (cell.jobs[-1].folder for cell in grid.cells[:2])
    for name in FILES:
        shutil.copy(first / name, second / name)
    assert refusal(grid).startswith(f"{second}: its result is of the run in {first}: ")


def test_a_result_of_another_seed(grid: Grid) -> None:
    path = grid.jobs[-1].folder / "result.json"
    path.write_text(json.dumps({**read(path), "seed": 7}))
    words = "its result is of seed 7, not of 1: remove the folder, and the same command trains it"
    assert words in refusal(grid)


def start_from(grid: Grid, digest: Callable[[Path], str]) -> Path:
    """Gives the last row's pretraining weights, and its detector their digest."""
    pretraining, detection = grid.cells[-1].jobs
    weights = pretraining.folder / "model_final.pth"
    weights.write_bytes(b"weights")
    path = detection.folder / "result.json"
    path.write_text(json.dumps({**read(path), "weights": {"sha256": digest(weights)}}))
    return weights


def test_a_detector_of_weights_that_were_trained_anew(grid: Grid) -> None:
    weights = start_from(grid, lambda _: "0" * 64)
    words = f"{grid.jobs[-1].folder} began with other weights than {weights} holds now, so one row"
    assert refusal(grid).startswith(words)


def test_whole_chains_are_gathered(grid: Grid) -> None:
    start_from(grid, sha256_of)
    path = gather(grid, options_for(grid), find_test_set(grid), findings=difference_findings)
    rows = read(path)["rows"]
    assert len({row["metrics"]["AP"] for row in rows}) == len(rows) == 4


def test_a_test_set_that_changed_while_runs_were_trained(grid: Grid, tmp_path: Path) -> None:
    begun = find_test_set(grid)
    gather(grid, options_for(grid), begun, findings=difference_findings)
    (grid.output / "result.json").unlink()
    annotations = tmp_path / "data" / "val.json"
    content = read(annotations)
    content["annotations"].pop()
    annotations.write_text(json.dumps(content))
    assert "val.json: the test set has changed since" in refusal(grid)
