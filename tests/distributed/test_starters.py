"""Two processes of the real command, however they are started, train and score the same."""

import json

import pytest
import torch

from resnext_det.engines.base import EngineName
from tests.distributed.commands import STARTERS, arguments, start
from tests.engines.conftest import Bench

pytestmark = pytest.mark.slow
ENGINES = ["portable", pytest.param("d2", marks=pytest.mark.d2)]


@pytest.mark.parametrize("engine", ENGINES)
def test_two_processes_train_to_the_same_bits_and_metrics(engine: EngineName, bench: Bench) -> None:
    weights, metrics = [], []
    for starter in STARTERS:
        run = start(
            bench, starter, arguments(bench, engine, starter.strip("-"), "--dist-timeout=60")
        )
        assert run.wait() == [0] * len(run.processes), run.said()
        folder = bench.folder / starter.strip("-")
        first = (folder / "log.txt").read_text().splitlines()[0]
        named = "--num-gpus 2" if starter == "--num-gpus" else starter
        assert f"2 processes, started by {named}, talk by gloo (" in first
        assert first.endswith(": rank 0-1)")
        weights.append(torch.load(folder / "model_final.pth", weights_only=True)["model"])
        metrics.append(json.loads((folder / "result.json").read_text())["metrics"])
    for other in weights[1:]:
        assert all(torch.equal(weights[0][name], other[name]) for name in weights[0])
    assert metrics[0] == metrics[1] == metrics[2]


@pytest.mark.parametrize("engine", ENGINES)
def test_two_processes_score_as_one(engine: EngineName, bench: Bench) -> None:
    long = ("SOLVER.MAX_ITER", 60, "SOLVER.STEPS", "[50]", "SOLVER.BASE_LR", 0.02)
    assert start(bench, "", arguments(bench, engine, "train", *long)).wait() == [0]
    keys = ("--eval-only", "MODEL.WEIGHTS", bench.folder / "train" / "model_final.pth")
    for name, starter in (("one", ""), ("two", "--num-gpus")):
        run = start(bench, starter, arguments(bench, engine, name, *keys))
        assert run.wait() == [0], run.said()
    one, two = (bench.folder / name / "inference" for name in ("one", "two"))
    metrics = [json.loads((f / "result.json").read_text())["metrics"] for f in (one, two)]
    assert metrics[0] == metrics[1]
    assert metrics[0]["AP"] > 0
    found = [json.loads((f / "coco_instances_results.json").read_text()) for f in (one, two)]
    assert found[0] == found[1]
