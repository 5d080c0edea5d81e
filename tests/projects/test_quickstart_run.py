"""The quickstart's whole command, shortened: data, real runs, table and page."""

from pathlib import Path
from typing import Any

import pytest

from projects.Quickstart import jobs, run
from projects.studies.jobs import Job, make_job
from resnext_det.data.quickstart import (
    QuickstartData,
    QuickstartParams,
    build_quickstart_data,
)
from tests.projects.studies.finished_study import read

SHORT = ("SOLVER.MAX_ITER", "2", "SOLVER.STEPS", "[]", "SOLVER.WARMUP_ITERS", "0")


def small_data(folder: Path, *, seed: int, ready: Path | None) -> QuickstartData:
    params = QuickstartParams(train_scenes=8, val_scenes=4, train_crops=40, val_crops=20, seed=seed)
    return build_quickstart_data(folder, params=params, ready=ready)


def short_job(*given: Any, overrides: tuple[str, ...] = (), **more: Any) -> Job:
    return make_job(*given, overrides=(*overrides, *SHORT), **more)


@pytest.mark.slow
def test_the_command_from_nothing_to_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(jobs, "make_job", short_job)
    monkeypatch.setattr(run, "build_quickstart_data", small_data)
    output = tmp_path / "quickstart"
    words = ["--output", str(output), "--engine", "portable", "--rows", "X_26", "--gpus", "none"]
    assert run.main(words) == 1, capsys.readouterr().out  # AP50 of two iterations is not 30
    content = read(output / "result.json")
    assert [row["pretrained"] for row in content["rows"]] == [True, False]
    passed = {f["text"].split(" ")[0]: f["passed"] for f in content["findings"]}
    assert [f["passed"] for f in content["findings"][:2]] == [True, True]  # settings, pycocotools
    assert passed["ResNeXt-26"] is False
    pretraining = content["rows"][0]["pretraining"]
    assert pretraining.startswith("digits, ")
    assert content["rows"][0]["curves"]["detection"]["total_loss"][0] == [2]
    assert (output / "report.html").stat().st_size > 10_000
    assert "are written." in capsys.readouterr().out
    assert run.main(words) == 1
    printed = capsys.readouterr().out
    assert "started" not in printed
    assert read(output / "result.json") == content
