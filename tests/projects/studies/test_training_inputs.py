"""What a study is trained on: its digests, and what changes them."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from projects.studies.grid import Cell, Grid
from projects.studies.jobs import make_job
from projects.studies.training_inputs import keep_training_inputs, training_inputs
from resnext_det.errors import UserError
from tests.projects.small_folders import class_folder
from tests.projects.studies.finished_study import FIRST, detection_grid, write_test_set


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    """A study whose training sets are there, one of them in its own folder."""
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "study"
    class_folder(tmp_path / "crops" / "train", "ab")
    train = write_test_set(output / "data")
    return detection_grid(output, write_test_set(tmp_path / "test"), train=train)


def with_weights(grid: Grid, file: Path) -> Grid:
    """The study's first detector alone, from a file of the user's."""
    job = make_job(
        "first",
        grid.output / "first",
        "resnext_det://quick_schedules/faster_rcnn_R_26_FPN.yaml",
        seed=0,
        sets=("none.json:none", "val.json:val"),
        overrides=("MODEL.WEIGHTS", str(file)),
    )
    return replace(grid, cells=(Cell(FIRST, 0, (job,)),), pairs=())


def test_every_training_set_once(grid: Grid, tmp_path: Path) -> None:
    assert training_inputs(grid).keys() == {"crops/train", "data/val.json:data/val"}
    files = sorted((tmp_path / "crops" / "train").rglob("*.*"), key=str)
    lines = [f"\n{p.parent.name}/{p.name}\0{p.stat().st_size}" for p in files]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert training_inputs(grid)["crops/train"] == expected


def test_a_moved_study_is_trained_on_the_same(grid: Grid, tmp_path: Path) -> None:
    before = training_inputs(grid)
    grid.output.rename(tmp_path / "moved")
    moved = tmp_path / "moved"
    train = f"{moved}/data/val.json:{moved}/data/val"
    assert training_inputs(detection_grid(moved, grid.test_set.source, train=train)) == before


@pytest.mark.parametrize(
    "name", ["crops/train/a/9.png", "study/data/val/0.png", "study/data/val.json"]
)
def test_a_changed_training_set_is_refused(name: str, grid: Grid, tmp_path: Path) -> None:
    keep_training_inputs(grid)
    keep_training_inputs(grid)
    path = tmp_path / name
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b" ")
    with pytest.raises(UserError, match=r"(train|val): what .*study was begun with has changed "):
        keep_training_inputs(grid)


def test_a_picture_that_the_annotations_do_not_name_changes_nothing(grid: Grid) -> None:
    before = training_inputs(grid)
    (grid.output / "data" / "val" / "other.png").touch()
    assert training_inputs(grid) == before


def test_what_is_gone_is_not_compared_and_what_comes_is_added(grid: Grid, tmp_path: Path) -> None:
    (tmp_path / "crops").rename(tmp_path / "away")
    keep_training_inputs(grid)
    (tmp_path / "away").rename(tmp_path / "crops")
    keep_training_inputs(grid)
    kept = json.loads((grid.output / "training_inputs.json").read_text())
    assert kept == training_inputs(grid)


def test_changed_weights_are_refused(grid: Grid, tmp_path: Path) -> None:
    file = tmp_path / "x50.pth"
    file.write_bytes(b"weights")
    study = with_weights(grid, file)
    assert training_inputs(study) == {str(file): hashlib.sha256(b"weights").hexdigest()}
    keep_training_inputs(study)
    file.write_bytes(b"others")
    with pytest.raises(UserError, match=r"x50.pth: what .* bring it back, or give another"):
        keep_training_inputs(study)


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1}'], ids=["empty", "list", "number"])
def test_a_damaged_record_is_named(text: str, grid: Grid) -> None:
    (grid.output / "training_inputs.json").write_text(text)
    with pytest.raises(UserError, match=r"training_inputs.json: .*: give another --output"):
        keep_training_inputs(grid)
