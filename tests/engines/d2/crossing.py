"""Runs of both engines from the same weights and on each other's checkpoints. Detectron2."""

import json
from pathlib import Path

from resnext_det.engines.base import Engine, EngineName, resolve_engine
from resnext_det.engines.detection import evaluate_detector, train_detector
from tests.engines.conftest import Bench

LONG = ("SOLVER.MAX_ITER", 150, "SOLVER.STEPS", "[130]", "SOLVER.BASE_LR", 0.02)


def crossed_metrics(
    bench: Bench, writer: EngineName, reader: EngineName
) -> tuple[dict[str, float], dict[str, float]]:
    """The metrics that a writer's run ends with, and those of its checkpoint in the reader."""
    train_detector(resolve_engine(writer), bench.job("run", *LONG))
    checkpoint = bench.folder / "run" / "model_final.pth"
    evaluate_detector(resolve_engine(reader), bench.job("again", "MODEL.WEIGHTS", checkpoint))
    ours = _metrics(bench.folder / "run" / "result.json")
    return ours, _metrics(bench.folder / "again" / "inference" / "result.json")


def losses_in_step(bench: Bench) -> dict[str, dict[str, float]]:
    """Losses of the first and the fourth update from one file of weights: "d21" … "portable4"."""
    portable, d2 = resolve_engine("portable"), resolve_engine("d2")
    train_detector(portable, bench.job("start", "DATASETS.TEST", "[]"))
    weights = bench.folder / "start" / "model_final.pth"
    return {
        f"{engine.name}{update}": _losses_of_update(bench, engine, weights, update)
        for engine in (portable, d2)
        for update in (1, 4)
    }


def _losses_of_update(bench: Bench, engine: Engine, weights: Path, update: int) -> dict[str, float]:
    name = f"{engine.name}{update}"
    options = ("MODEL.WEIGHTS", weights, "DATASETS.TEST", "[]", "SOLVER.STEPS", "[]")
    # metrics.json holds medians over a run's updates so far: the last update is a run of its own.
    for end in sorted({max(update - 1, 1), update}):
        job = bench.job(name, *options, "SOLVER.MAX_ITER", end, resume=end > 1 and end == update)
        train_detector(engine, job)
    line = json.loads((bench.folder / name / "metrics.json").read_text().splitlines()[-1])
    assert line["iteration"] == update - 1
    return {name: value for name, value in line.items() if "loss" in name}


def _metrics(path: Path) -> dict[str, float]:
    metrics = json.loads(path.read_text())["metrics"]
    return {name: -1.0 if value is None else value for name, value in metrics.items()}
