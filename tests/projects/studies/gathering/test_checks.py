"""What every study states of its own runs, and that it can fail."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from projects.studies.gathering.checks import (
    complexity_findings,
    flat_config,
    pycocotools_finding,
    settings_finding,
    shared_settings,
)
from projects.studies.gathering.rows import FinishedCell, read_cell
from projects.studies.grid import Grid
from projects.studies.test_sets import find_test_set
from tests.projects.studies.finished_study import (
    FIRST,
    SECOND,
    change_config,
    detection_grid,
    finish,
    finish_job,
    finished_grid,
    read,
    write_test_set,
)


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    return finished_grid(tmp_path)


def cells(grid: Grid) -> list[FinishedCell]:
    return [read_cell(cell) for cell in grid.cells]


def test_rows_share_every_setting(grid: Grid) -> None:
    found = settings_finding(grid, cells(grid))
    assert found["passed"]
    assert found["text"] == (
        "All 2 rows share every setting (NORM BN, FREEZE_AT 0, MAX_ITER 200, IMS_PER_BATCH 8, "
        "BASE_LR 0.01) and the data order; they differ in the backbone and the starting weights "
        "alone."
    )


@pytest.mark.parametrize(
    ("job", "key", "value"),
    [
        (-1, "SOLVER.MAX_ITER", 300),
        (-1, "SEED", 5),
        (1, "DATASETS.TRAIN", ["another"]),
        (-2, "SOLVER.BASE_LR", 0.5),
    ],
    ids=["iterations", "seed", "data", "pretraining"],
)
def test_another_setting_is_found(grid: Grid, job: int, key: str, value: object) -> None:
    change_config(grid.jobs[job], key, value)
    found = settings_finding(grid, cells(grid))
    assert found == {"text": f"The rows differ in {key}.", "passed": False}


def test_what_is_compared_may_differ(grid: Grid) -> None:
    strict = replace(grid, compared=("MODEL.WEIGHTS",))
    found = settings_finding(strict, cells(grid))
    assert not found["passed"]
    for key in ("MODEL.RESNETS.NUM_GROUPS", "MODEL.RESNETS.WIDTH_PER_GROUP"):
        assert key in found["text"]


def test_settings_are_those_that_all_have(grid: Grid) -> None:
    settings = shared_settings(grid, cells(grid))
    assert settings["SOLVER.MAX_ITER"] == 200
    assert settings["INPUT.MIN_SIZE_TRAIN"] == [128]
    assert "SEED" not in settings
    assert "INPUT.CLASSIFICATION.TRAIN_CROP" not in settings


def test_paired_rows_are_of_equal_cost(grid: Grid) -> None:
    (found,) = complexity_findings(grid, cells(grid))
    assert found["passed"]
    assert found["text"] == (
        "The backbones' multiply-adds differ by 0.2 % (ResNet-26 0.764 G, ResNeXt-26 30x4d "
        "0.765 G on 128x128 pixels); at most 2 % are allowed."
    )


def test_a_pair_of_unequal_cost_fails(grid: Grid) -> None:
    for cell in grid.cells[2:]:
        change_config(cell.jobs[-1], "MODEL.RESNETS.NUM_GROUPS", 32)
    (found,) = complexity_findings(grid, cells(grid))
    assert not found["passed"]
    assert "differ by 5.5 %" in found["text"]  # as the quickstart's config says of 32x4d
    (said,) = complexity_findings(replace(grid, max_flops_difference=None), cells(grid))
    assert said["passed"] is None
    assert said["text"].endswith("on 128x128 pixels).")


def test_rows_of_one_model_need_no_comparison_of_cost(grid: Grid) -> None:
    scratch = replace(FIRST, pretrained=False)
    assert complexity_findings(replace(grid, pairs=((scratch, FIRST),)), cells(grid)) == []


def test_every_ap_is_recomputed_with_pycocotools(grid: Grid) -> None:
    found = pycocotools_finding(cells(grid), find_test_set(grid))
    assert found["passed"]
    # AP AP50 AP75 APs APm APl and two classes, of two rows at two seeds.
    assert found["text"].startswith("All 32 APs of the 4 runs equal pycocotools'")
    assert found["text"].endswith("; the largest difference is 0.")


def test_a_difference_below_the_printed_digits_is_said(grid: Grid) -> None:
    job = grid.cells[-1].jobs[-1]
    metrics = read(job.folder / "result.json")["metrics"]
    towards = 1e-5 if round(metrics["AP"], 4) >= metrics["AP"] else -1e-5
    finish_job(job, {**metrics, "AP": metrics["AP"] + towards}, "portable")
    found = pycocotools_finding(cells(grid), find_test_set(grid))
    assert found["passed"]
    assert found["text"].endswith("; the largest difference is 1e-05.")


def test_an_ap_that_is_off_in_the_last_digit_is_found(grid: Grid) -> None:
    job = grid.cells[-1].jobs[-1]
    metrics = read(job.folder / "result.json")["metrics"]
    off = metrics["APs"] + 0.0002
    finish_job(job, {**metrics, "APs": off}, "portable")
    found = pycocotools_finding(cells(grid), find_test_set(grid))
    assert not found["passed"]
    assert f"{SECOND.label}, seed 1: APs {off:.4f}, pycocotools" in found["text"]


def test_a_missing_ap_is_found(grid: Grid) -> None:
    job = grid.cells[0].jobs[-1]
    metrics = read(job.folder / "result.json")["metrics"]
    finish_job(job, {k: v for k, v in metrics.items() if k != "AP-cat"}, "portable")
    found = pycocotools_finding(cells(grid), find_test_set(grid))
    assert not found["passed"]
    assert "AP-cat –, pycocotools" in found["text"]


def test_no_ground_truth_is_equal_too(tmp_path: Path) -> None:
    test_set = write_test_set(tmp_path / "data")
    file = tmp_path / "data" / "val.json"
    file.write_text(json.dumps({**read(file), "annotations": []}))
    grid = detection_grid(tmp_path / "study", test_set, seeds=(0,))
    finish(grid)
    found = pycocotools_finding(cells(grid), find_test_set(grid))
    assert found["passed"]


def test_nested_configs_are_flattened() -> None:
    assert flat_config({"A": {"B": {"C": [1]}}, "D": {}, "E": None}) == {"A.B.C": [1], "E": None}
