"""Several processes that are told to stop, together or one of them, and go on afterwards."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch

from resnext_det.engines.base import EngineName
from tests.classification.conftest import BASE, CLASSES, write_folder
from tests.distributed.commands import Started, arguments, in_each_way, start, start_process
from tests.distributed.test_classification import KEYS as OF_CLASSIFIER
from tests.distributed.test_classification import Folder
from tests.engines.conftest import Bench, make_bench

pytestmark = pytest.mark.slow
SCRIPT = str(Path(__file__).with_name("told_to_stop.py"))
KEYS = ("TEST.EVAL_PERIOD", 2)
RETINANET = (
    *("MODEL.META_ARCHITECTURE", "RetinaNet"),
    *("MODEL.RETINANET.IN_FEATURES", "['p2', 'p3', 'p4', 'p5', 'p6']"),
)
OF_ENGINE = {"portable": KEYS, "d2": (*KEYS, *RETINANET)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a run that nobody stopped."""
    bench = make_bench(tmp_path_factory.mktemp("whole"))
    run = start(bench, "--num-gpus", arguments(bench, "portable", "run", *KEYS))
    assert run.wait() == [0], run.said()
    return bench.folder / "run" / "model_final.pth"


def told(
    bench: Bench,
    starter: str,
    *plan: dict[str, object],
    torchrun: tuple = (),
    engine: EngineName = "portable",
) -> Started:
    """Starts a run whose processes act by a plan (see told_to_stop.py), and waits for its end."""
    run = start(
        bench,
        starter,
        arguments(bench, engine, "run", *OF_ENGINE[engine], "DATALOADER.NUM_WORKERS", 1),
        script=SCRIPT,
        variables={"PLAN": json.dumps(plan)},
        torchrun=torchrun,
    )
    run.wait()
    return run


def statuses(run: Started, starter: str) -> list[int]:
    """Those of the processes that train; torchrun has its own, and tells theirs."""
    if starter == "torchrun":
        assert [process.returncode for process in run.processes] == [1], run.said()
        return [75] if "exitcode  : 75" in run.said() or "got signal: 15" in run.said() else []
    return [process.returncode for process in run.processes]


def resume(bench: Bench, whole: Path, engine: EngineName = "portable") -> None:
    run = start(
        bench, "--num-gpus", arguments(bench, engine, "run", *OF_ENGINE[engine], "--resume")
    )
    assert run.wait() == [0], run.said()
    assert_same(bench, whole)


def assert_same(bench: Bench | Folder, whole: Path) -> None:
    ours, theirs = (
        torch.load(path, weights_only=True)["model"]
        for path in (bench.folder / "run" / "model_final.pth", whole)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def entry(moment: str, at: int, rank: int, name: str = "SIGTERM", to: str = "self") -> dict:
    return {"moment": moment, "at": at, "rank": rank, "signal": name, "to": to}


MOMENTS = {
    "an iteration, one rank": [entry("iteration", 2, 1, "SIGUSR1")],
    "iterations, both ranks": [entry("iteration", 2, 1), entry("iteration", 2, 0)],
}


@in_each_way(
    *MOMENTS,
    slow=[("--num-gpus", "an iteration, one rank"), ("SLURM", "iterations, both ranks")],
)
def test_all_stop_after_the_same_iteration(
    starter: str, moment: str, bench: Bench, whole: Path
) -> None:
    run = told(bench, starter, *MOMENTS[moment])
    assert set(statuses(run, starter)) == {75}, run.said()
    name = "SIGUSR1" if "one" in moment else "SIGTERM"
    assert run.said().count(f"Stopped by {name} after 3 iterations, which ") == 1, run.said()
    assert (bench.folder / "run" / "last_checkpoint").read_text() == "model_0000002.pth"
    resume(bench, whole)


@pytest.mark.parametrize("starter", ["--num-gpus", "torchrun"])
def test_the_starter_passes_it_on(starter: str, bench: Bench, whole: Path) -> None:
    run = told(bench, starter, entry("iteration", 3, 0, to="starter"))
    assert set(statuses(run, starter)) == {75}, run.said()
    assert "Stopped by SIGTERM after 4 iterations, which " in run.said()
    resume(bench, whole)


IN_EVALUATION = {
    "the main rank's share": entry("evaluation", 1, 0),
    "another's share": entry("evaluation", 1, 1),
    "the scoring": entry("score", 1, 0),
}


@in_each_way(
    *IN_EVALUATION,
    slow=[
        ("SLURM", "the main rank's share"),
        ("--num-gpus", "another's share"),
        ("torchrun", "the scoring"),
    ],
)
def test_an_evaluation_is_broken_off(starter: str, moment: str, bench: Bench, whole: Path) -> None:
    run = told(bench, starter, IN_EVALUATION[moment])
    assert set(statuses(run, starter)) == {75}, run.said()
    assert run.said().count("Stopped by SIGTERM after 2 iterations, which ") == 1, run.said()
    assert "Traceback" not in run.said() or starter == "torchrun"
    resume(bench, whole)


AT_START = {f"rank {rank}": entry("start", -1, rank) for rank in (0, 1)}


@in_each_way(*AT_START, slow=[("SLURM", "rank 1"), ("--num-gpus", "rank 0")])
def test_at_start_up_all_leave_at_once(starter: str, moment: str, bench: Bench) -> None:
    run = told(bench, starter, AT_START[moment])
    assert set(statuses(run, starter)) == {75}, run.said()
    assert run.said().count("stopped by SIGTERM, nothing is lost") == 1, run.said()
    assert not list(bench.folder.glob("run/*.pth"))


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(0, id="before a checkpoint", marks=pytest.mark.long),
        pytest.param(5, id="after one"),
    ],
)
def test_torchrun_goes_on_by_itself(at: int, bench: Bench, whole: Path) -> None:
    kill = entry("iteration", at, 1, "SIGKILL")
    run = told(bench, "torchrun", kill, torchrun=("--max-restarts", "2"))
    assert run.processes[0].returncode == 0, run.said()
    assert ("Resuming from" in run.said()) == (at == 5)
    assert_same(bench, whole)


def test_torchrun_does_not_take_over_what_was_there(bench: Bench, whole: Path) -> None:
    shutil.copytree(whole.parent, bench.folder / "run")
    before = sorted(os.listdir(bench.folder / "run"))
    run = told(bench, "torchrun", torchrun=("--max-restarts", "1"))
    assert run.processes[0].returncode == 1, run.said()
    lines = set(run.errors())
    assert len(lines) == 1
    assert "already holds a run (model_final.pth): add --resume to continue it" in lines.pop()
    assert sorted(os.listdir(bench.folder / "run")) == before


@pytest.mark.d2
@pytest.mark.parametrize(
    ("moment", "at"),
    [pytest.param("iteration", 2, marks=pytest.mark.long), ("evaluation", 1)],
)
def test_detectron2s_engine_stops_as_well(moment: str, at: int, bench: Bench) -> None:
    """RetinaNet, whose processes each keep a running number of anchors."""
    run = start(bench, "--num-gpus", arguments(bench, "d2", "whole", *OF_ENGINE["d2"]))
    assert run.wait() == [0], run.said()
    run = told(bench, "--num-gpus", entry(moment, at, 1), engine="d2")
    assert statuses(run, "--num-gpus") == [75], run.said()
    assert run.said().count(f"Stopped by SIGTERM after {at + 1} iterations, which ") == 1, (
        run.said()
    )
    whole = bench.folder / "whole" / "model_final.pth"
    resume(bench, whole, "d2")
    ours, theirs = (
        torch.load(path, weights_only=True)["loss_normalizers"]["processes"]
        for path in (bench.folder / "run" / "model_final.pth", whole)
    )
    assert ours == theirs
    assert ours[0] != ours[1]


def test_a_classifier_in_one_process_stops_as_well(tmp_path: Path) -> None:
    for split in ("toy_train", "toy_val"):
        write_folder(tmp_path / split, CLASSES)

    def run(name: str, script: str, *words: str) -> tuple[int, str]:
        keys = {**OF_CLASSIFIER, "SOLVER.MAX_ITER": 4, "OUTPUT_DIR": tmp_path / name}
        command = [
            *(sys.executable, script, *words, "--config-file", BASE),
            *("--train-data", f"toy_train={tmp_path / 'toy_train'}/"),
            *("--test-data", f"toy_val={tmp_path / 'toy_val'}/"),
            *(str(word) for pair in keys.items() for word in pair),
        ]
        plan = {"PLAN": json.dumps([entry("iteration", 1, 0)])}
        process, said = start_process(command, Folder(tmp_path), plan)
        return process.wait(600), said.read_text()

    assert run("whole", "train_net.py")[0] == 0
    status, said = run("run", SCRIPT)
    assert status == 75
    assert said.count("Stopped by SIGTERM after 2 iterations, which ") == 1, said
    assert run("run", "train_net.py", "--resume")[0] == 0
    assert_same(Folder(tmp_path), tmp_path / "whole" / "model_final.pth")
