"""A study's command from the options to the page, with runs that are there at once."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from projects.Cardinality.run import main as cardinality
from projects.CIFAR.run import main as cifar
from projects.DetectionComparison.run import main as comparison
from projects.ImageNet5K.run import main as imagenet5k
from projects.Quickstart.run import main as quickstart
from projects.studies import command
from projects.studies.command import chosen, study_main
from projects.studies.findings import Finding, difference_findings, finding
from projects.studies.folders.study_folder import hold_folder, mark_study
from projects.studies.grid import Grid
from projects.studies.jobs import Job
from projects.studies.planning.plan import Plan
from projects.studies.running.processes import JobFailedError
from resnext_det.errors import UserError
from tests.projects.studies.finished_study import detection_grid, finish, read, write_test_set

Study = Callable[..., int]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Runs the command of a study whose runs end at once, or as `error` says."""
    test_set = write_test_set(tmp_path / "data")
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)

    def run(
        *words: str,
        error: BaseException | None = None,
        findings: Callable[[Any], list[Finding]] = difference_findings,
    ) -> int:
        grids: list[Grid] = []

        def make_grid(_: argparse.Namespace, options: Any, __: Any) -> Grid:
            grids.append(detection_grid(options.output, test_set, seeds=options.seeds))
            return grids[0]

        def run_jobs(jobs: Sequence[Job], **_: Any) -> bool:
            if error is not None:
                raise error
            assert not all((job.folder / "result.json").exists() for job in jobs)
            finish(grids[0])
            return True

        monkeypatch.setattr(command, "run_jobs", run_jobs)
        parser = argparse.ArgumentParser(prog="two")
        given = ["--output", str(tmp_path / "study"), *words]
        return study_main(parser, given, make_grid, output=tmp_path / "unused", findings=findings)

    return run


def test_a_study_ends_with_its_page(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study("--pictures", "1") == 0
    printed = capsys.readouterr().out
    assert "ResNeXt-26 30x4d" in printed
    assert "✓ met The backbones' multiply-adds differ by 0.2 %" in printed
    assert "report.html are written." in printed
    content = read(tmp_path / "study" / "result.json")
    assert len(content["pictures"]) == 1
    assert content["seconds"] > 0
    assert (tmp_path / "study" / "report.html").exists()
    assert not (tmp_path / "unused").exists()


def test_the_same_command_makes_the_table_anew_and_trains_nothing(
    study: Study, tmp_path: Path
) -> None:
    assert study("--pictures", "0") == 0
    first = (tmp_path / "study" / "result.json").read_text()
    assert study("--pictures", "0", error=AssertionError("trained again")) == 0
    assert study("--pictures", "0", "--gather-only", error=AssertionError("trained")) == 0
    assert read(tmp_path / "study" / "result.json") == json.loads(first)


def test_more_seeds_join_the_same_table(study: Study, tmp_path: Path) -> None:
    assert study("--pictures", "0") == 0
    assert study("--pictures", "0", "--seeds", "2") == 0
    content = read(tmp_path / "study" / "result.json")
    assert [row["seed"] for row in content["rows"]] == [0, 1, 0, 1]
    assert all(d["num_seeds"] == 2 for d in content["differences"])


def test_a_check_that_fails_is_status_1(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert study("--pictures", "0", findings=lambda _: [finding("Too low.", False)]) == 1
    assert "✗ not met Too low." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UserError("the reason"), 2, "error: the reason"),
        (JobFailedError("A: ended with status 1"), 1, "A: ended with status 1"),
        (KeyboardInterrupt(), 130, "Interrupted. The same command continues."),
    ],
    ids=["mistake", "failure", "interrupt"],
)
def test_what_ends_it_early_is_said_and_the_same_command_continues(
    error: BaseException,
    status: int,
    words: str,
    study: Study,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert study(error=error) == status
    assert words in capsys.readouterr().out
    assert not (tmp_path / "study" / "result.json").exists()
    assert study("--pictures", "0") == 0


def test_an_unfinished_study_has_no_table(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study("--gather-only") == 2
    printed = capsys.readouterr().out
    assert "4 of 4 runs are not finished: R_26_0/classification, R_26_0/detection" in printed
    assert not (tmp_path / "study" / "result.json").exists()


def test_a_foreign_result_is_refused_before_anything_is_trained(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study("--pictures", "0") == 0
    path = tmp_path / "study" / "result.json"
    path.write_text(json.dumps({**read(path), "title": "Another"}))
    assert study("--seeds", "2", error=AssertionError("trained")) == 2
    assert "is of Another at scale tiny, not of Two of equal cost" in capsys.readouterr().out


def test_some_rows_alone(tmp_path: Path) -> None:
    grid = detection_grid(tmp_path / "study", write_test_set(tmp_path / "data"))
    assert chosen(grid, ()) is grid
    one = chosen(grid, ["X_26"])
    assert [cell.row.tag for cell in one.cells] == ["X_26", "X_26"]
    assert one.pairs == ()
    assert chosen(grid, ["X_26", "R_26"]) == grid
    with pytest.raises(UserError, match=r"--rows X_50: the rows are R_26, X_26"):
        chosen(grid, ["X_50"])


def test_one_row_has_a_table_too(study: Study, tmp_path: Path) -> None:
    assert study("--rows", "X_26") == 0
    content = read(tmp_path / "study" / "result.json")
    assert [row["model"] for row in content["rows"]] == ["ResNeXt-26 30x4d"]
    assert content["differences"] == content["pictures"] == []


def test_a_plan_is_printed_and_written_and_nothing_else(
    study: Study,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: dict[str, Any] = {}

    def make_plan(grid: Grid, **given: Any) -> Plan:
        asked.update(given)
        return Plan(grid.title, grid.output, (), given["places_at_a_time"], free_bytes=10**9)

    monkeypatch.setattr(command, "make_plan", make_plan)
    path = tmp_path / "plan.json"
    words = ("--plan", "--json", str(path), "--jobs", "3", "--gpus", "none")
    assert study(*words, error=AssertionError("trained")) == 0
    assert asked["places_at_a_time"] == 3
    assert "Two of equal cost: the plan" in capsys.readouterr().out
    assert read(path)["title"] == "Two of equal cost"
    assert not (tmp_path / "study").exists()
    taken = tmp_path / "other" / "result.json"
    taken.parent.mkdir()
    taken.write_text("{}")
    weights, annotations = tmp_path / "weights.pth", tmp_path / "data" / "val.json"
    weights.write_bytes(b"PK")
    before = annotations.read_bytes()
    for place, words in (
        (tmp_path / "study" / "plan.json", "lies in the study's folder: name a file elsewhere"),
        (taken, "is a result's name and is there: name another file"),
        (weights, "exists and is no JSON as this command writes it: name another"),
        (annotations, "is one of the files that this command reads or writes: name another"),
    ):
        assert study("--plan", "--json", str(place), "--gpus", "none") == 2
        assert words in " ".join(capsys.readouterr().out.split())
    assert taken.read_text() == "{}"
    assert (weights.read_bytes(), annotations.read_bytes()) == (b"PK", before)
    assert study("--plan", "--slurm", "-p gpu", "--seeds", "2") == 0
    assert asked["places_at_a_time"] == 4


# Projects with built-in data, each with the module that makes them.
PROJECTS = {
    comparison: "projects.DetectionComparison.mini",
    quickstart: "projects.Quickstart.run",
    cifar: "projects.studies.classification.mini",
    cardinality: "projects.studies.classification.mini",
    imagenet5k: "projects.studies.classification.mini",
}
NAMES = ["comparison", "quickstart", "cifar", "cardinality", "imagenet5k"]


@pytest.mark.parametrize(("project", "place"), PROJECTS.items(), ids=NAMES)
def test_a_plan_makes_built_in_data_aside(
    project: Callable[[list[str]], int],
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    roots: list[Path] = []

    def build(root: Path, **_: Any) -> None:
        root.mkdir(parents=True)
        roots.append(root)
        raise UserError("the disk is full")

    monkeypatch.setattr(f"{place}.build_quickstart_data", build)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    output = tmp_path / "study"
    words = ["--output", str(output), "--engine", "portable"]
    assert project([*words, "--plan"]) == 2
    assert "error: the disk is full" in capsys.readouterr().out
    assert not roots[0].exists()
    assert not roots[0].is_relative_to(tmp_path / "study")
    assert not output.exists()
    assert project(words) == 2
    assert roots[1].is_relative_to(output / "data")
    assert not output.exists()  # it was refused


def test_a_plan_reads_the_study_s_data_and_makes_none_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, Path | None]] = []

    def build(root: Path, *, ready: Path | None = None, **_: Any) -> None:
        asked.append((root, ready))
        raise UserError("the disk is full")

    monkeypatch.setattr("projects.Quickstart.run.build_quickstart_data", build)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    output = tmp_path / "study"
    words = ["--output", str(output), "--engine", "portable"]
    assert quickstart([*words, "--plan"]) == 2
    assert quickstart(words) == 2
    (made, ready), own = asked
    assert ready == output / "data"
    assert not made.is_relative_to(tmp_path / "study")
    assert own == (output / "data", None)


@pytest.mark.parametrize("word", ["--gather-only", "--plan"])
@pytest.mark.parametrize("project", PROJECTS, ids=NAMES)
def test_another_study_s_data_are_left_alone(
    project: Callable[[list[str]], int],
    word: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    output = tmp_path / "study"
    with hold_folder(output):
        mark_study(detection_grid(output, "val.json:val"))
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    assert project(["--output", str(output), "--engine", "portable", word]) == 2
    assert "holds the study 'Two of equal cost' at scale tiny, not" in capsys.readouterr().out
    before.pop(output / "study.lock")
    after = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    after.pop(output / "study.lock")
    assert after == before


def test_a_changed_training_set_is_refused(
    study: Study,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crops" / "train" / "0").mkdir(parents=True)
    assert study("--pictures", "0") == 0
    (tmp_path / "crops" / "train" / "0" / "0.png").touch()
    assert study("--pictures", "0") == 2
    assert "crops/train: what" in capsys.readouterr().out


def test_with_slurm_the_table_comes_when_all_are_finished(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def submit_jobs(jobs: Sequence[Job], **given: Any) -> bool:
        asked.update(given)
        return False

    monkeypatch.setattr(command, "submit_jobs", submit_jobs)
    words = ("--slurm", "-p gpu --gres=gpu:2", "--gpus-per-run", "2", "--pictures", "0")
    assert study(*words, error=AssertionError("run here")) == 0
    assert (asked["options"], asked["num_gpus"]) == ("-p gpu --gres=gpu:2", 2)
    assert not (tmp_path / "study" / "result.json").exists()
    finish(detection_grid(tmp_path / "study", _test_set(tmp_path), seeds=(0,)))
    assert study(*words) == 0
    assert (tmp_path / "study" / "result.json").exists()


def _test_set(tmp_path: Path) -> str:
    return f"{tmp_path / 'data' / 'val.json'}:{tmp_path / 'data' / 'val'}"
