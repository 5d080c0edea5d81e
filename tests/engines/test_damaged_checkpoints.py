"""A detection run whose newest checkpoint is damaged, on a full disk, or begun twice."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from resnext_det.cli.verbs.train import main
from resnext_det.engines.base import Engine
from resnext_det.engines.detection import evaluate_detector, train_detector
from resnext_det.errors import UserError
from tests.engines.conftest import Bench
from tests.training.runs import assert_equal
from tests.training.test_full_disk import MEND, small_disk
from tests.training.test_run_folder import HOLD

__all__ = ["small_disk"]


def final(folder: Path) -> dict:
    content = torch.load(folder / "model_final.pth", weights_only=True)
    return {key: content[key] for key in ("model", "optimizer", "iteration", "seed")}


def evaluations(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    return [line for line in lines if "bbox/AP" in line]


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [tear, flip])
def test_the_one_before_is_used_and_the_run_ends_as_if_nothing_had_been(
    engine: Engine, bench: Bench, damage: Callable[[Path], None]
) -> None:
    words = ("TEST.EVAL_PERIOD", 2, "TEST.BEST_METRIC", "bbox/AP50")
    train_detector(engine, bench.job("whole", *words))
    whole, cut = bench.folder / "whole", bench.folder / "cut"
    shutil.copytree(whole, cut)
    for name in ("model_final.pth", "result.json"):
        (cut / name).unlink()
    (cut / "last_checkpoint").write_text("model_0000005.pth")
    damage(cut / "model_0000005.pth")
    train_detector(engine, bench.job("cut", *words, resume=True))
    assert_equal(final(whole), final(cut))
    assert evaluations(whole) == evaluations(cut)
    results = [json.loads((run / "result.json").read_text()) for run in (whole, cut)]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert results[0]["best"] == results[1]["best"]
    assert results[1]["start_iteration"] == 3
    [line] = [x for x in (cut / "log.txt").read_text().splitlines() if "Not used: " in x]
    assert "WARNING Not used: model_0000005.pth is " in line
    assert line.endswith("; the run goes on from model_0000002.pth, at iteration 3")
    # As on an ordinary resume, each line of training is there once.
    told = [json.loads(x)["iteration"] for x in (cut / "metrics.json").read_text().splitlines()]
    assert told == sorted(told)


def test_a_torn_final_file_is_written_again(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run", "DATASETS.TEST", "[]"))
    folder = bench.folder / "run"
    before = final(folder)
    tear(folder / "model_final.pth")
    train_detector(engine, bench.job("run", "DATASETS.TEST", "[]", resume=True))
    assert_equal(final(folder), before)
    assert (folder / "last_checkpoint").read_text() == "model_final.pth"


@pytest.fixture
def other(bench: Bench) -> Iterator[int]:
    """The number of a process that runs in bench's folder `run`."""
    (bench.folder / "run").mkdir(parents=True)
    words = [str(bench.folder / "run/run.lock"), "here"]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield process.pid
        process.kill()


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("do", [train_detector, evaluate_detector])
def test_a_second_run_is_refused_and_touches_nothing(
    engine: Engine, bench: Bench, other: int, do: Callable, resume: bool
) -> None:
    job = bench.job("run", "MODEL.WEIGHTS", "" if resume else "a.pth", resume=resume)
    with pytest.raises(UserError, match=f"run is in use by process {other} on here: wait for"):
        do(engine, job)
    assert [path.name for path in (bench.folder / "run").iterdir()] == ["run.lock"]


def test_another_folder_s_checkpoint_is_evaluated_while_its_run_goes_on(
    engine: Engine, bench: Bench, other: int
) -> None:
    train_detector(engine, bench.job("trained", "SOLVER.MAX_ITER", 1, "SOLVER.STEPS", "[]"))
    weights = shutil.copy(bench.folder / "trained/model_final.pth", bench.folder / "run")
    evaluate_detector(engine, bench.job("evaluated", "MODEL.WEIGHTS", weights))
    assert (bench.folder / "evaluated/inference/result.json").is_file()


def test_a_run_on_a_disk_that_fills_up(
    engine: Engine, bench: Bench, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(folder: Path, *words: str) -> int:
        data = f"shapes={bench.entry.json_file}:{bench.entry.image_root}"
        sets = ("--train-data", data, "--test-data", data, "--engine", engine.name)
        return main(["--config-file", str(bench.config), *sets, *words, "OUTPUT_DIR", str(folder)])

    whole = bench.folder / "whole"
    assert train(whole) == 0
    size = (whole / "model_0000002.pth").stat().st_size
    _resize(small_disk, size * 3 // 2)
    run = small_disk / "run"
    capsys.readouterr()
    assert train(run) == 2
    said = capsys.readouterr().err.splitlines()
    full = f"{run / 'model_0000005.pth'}: cannot be written (No space left on device)"
    assert said[-1] == f"error: {full}{MEND}"
    assert not any("Traceback" in line for line in said)
    names = {path.name for path in run.iterdir() if not path.name.startswith("events.out")}
    assert names == {
        "config.yaml", "last_checkpoint", "log.txt", "metrics.json", "model_0000002.pth",
    }  # fmt: skip
    _resize(small_disk, size * 4)
    assert train(run, "--resume") == 0
    assert_equal(final(whole), final(run))


def _resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
