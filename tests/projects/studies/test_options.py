"""The options that every study's command shares."""

import argparse
from pathlib import Path

import pytest

from projects.studies.options import StudyOptions, parse_options


def parse(*words: str, seeds: int = 1) -> tuple[argparse.Namespace, StudyOptions]:
    parser = argparse.ArgumentParser(prog="study")
    parser.add_argument("--scale", default="mini")
    return parse_options(parser, words, output=Path("output/study"), seeds=seeds)


def test_without_options_everything_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projects.studies.options.detectron2_is_installed", lambda: False)
    args, options = parse()
    assert args.scale == "mini"
    assert (options.output, options.engine, options.seeds) == (
        Path("output/study"),
        "portable",
        (0,),
    )
    assert (options.rows, options.jobs, options.gpus, options.slurm) == ((), None, None, None)
    assert not options.plan
    assert not options.gather_only
    assert options.pictures == 4


def test_auto_is_detectron2_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projects.studies.options.detectron2_is_installed", lambda: True)
    assert parse()[1].engine == "d2"
    assert parse("--engine", "portable")[1].engine == "portable"


def test_all_options(tmp_path: Path) -> None:
    words = ["--scale", "coco", "--output", str(tmp_path), "--seeds", "3", "--rows", "R_50", "X_50"]
    words += ["--gpus", "0,1", "--gpus-per-run", "2", "--pictures", "0", "--gather-only"]
    args, options = parse(*words)
    assert args.scale == "coco"
    assert options.output == tmp_path
    assert options.seeds == (0, 1, 2)
    assert options.rows == ("R_50", "X_50")
    assert (options.gpus, options.gpus_per_run) == ("0,1", 2)
    assert options.pictures == 0
    assert options.gather_only
    assert options.words[0] == "python"
    assert options.words[2:] == tuple(words)


def test_a_study_has_seeds_of_its_own_default() -> None:
    assert parse(seeds=2)[1].seeds == (0, 1)


def test_the_plan_can_go_to_a_file(tmp_path: Path) -> None:
    options = parse("--plan", "--json", str(tmp_path / "plan.json"))[1]
    assert options.plan
    assert options.plan_json == tmp_path / "plan.json"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--jobs", "0"], "--jobs must be at least 1"),
        (["--gpus-per-run", "0"], "--gpus-per-run must be at least 1"),
        (["--pictures", "-1"], "--pictures must be at least 0"),
        (["--slurm", "-p gpu", "--jobs", "2"], "--slurm gives the runs to SLURM"),
        (["--slurm", "-p gpu", "--gpus", "0"], "--slurm gives the runs to SLURM"),
        (["--json", "plan.json"], "--json is the plan's: give --plan, too"),
        (["--plan", "--gather-only"], "--plan and --gather-only: give one"),
        (["--engine", "tf"], "invalid choice: 'tf'"),
        (["--seed", "1"], "unrecognized arguments: --seed 1"),
    ],
    ids=[
        "seeds",
        "jobs",
        "gpus-per-run",
        "pictures",
        "slurm-jobs",
        "slurm-gpus",
        "json",
        "plan",
        "engine",
        "shortened",
    ],
)
def test_mistakes_are_named(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(*words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
