"""Accelerated training on both engines: the plain run's losses, and the same run after a cut."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from resnext_det.acceleration.setting import acceleration_of_words
from resnext_det.acceleration.training_keys import with_acceleration
from resnext_det.engines.base import Engine, resolve_engine
from resnext_det.engines.detection import DetectionJob, evaluate_detector, train_detector
from resnext_det.errors import UserError
from resnext_det.training.acceleration import check_compile
from tests.engines.conftest import Bench
from tests.golden.tolerances import FIRST_UPDATE, FOURTH_UPDATE

WORDS = {
    "portable": "channels_last fold_norms fast_pooling keep_memory sampled_anchors",
    "d2": "channels_last fold_norms",
}
Words = tuple[object, ...]


@pytest.fixture
def plain(bench: Bench) -> Words:
    """A short run from weights, frozen up to res2, so that there are norms to fold."""
    from_scratch = bench.job("start", "SOLVER.MAX_ITER", 2, "DATASETS.TEST", "[]")
    train_detector(resolve_engine("portable"), from_scratch)
    weights = ("MODEL.WEIGHTS", bench.folder / "start" / "model_final.pth")
    length = ("SOLVER.MAX_ITER", 4, "SOLVER.STEPS", "[3]", "SOLVER.CHECKPOINT_PERIOD", 2)
    return (*weights, "MODEL.BACKBONE.FREEZE_AT", 2, *length, "DATASETS.TEST", "[]")


def accelerated(engine: Engine, job: DetectionJob, words: str) -> DetectionJob:
    return replace(job, loaded=with_acceleration(job.loaded, words, engine.check_config))


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    return [line["total_loss"] for line in lines if "total_loss" in line]


def test_losses_are_the_plain_runs(engine: Engine, bench: Bench, plain: Words) -> None:
    found = {}
    for iterations, limit in ((1, FIRST_UPDATE), (4, FOURTH_UPDATE)):
        for words in ("exact", WORDS[engine.name]):
            name = f"{words.split()[0]}_{iterations}"
            job = bench.job(name, *plain, "SOLVER.MAX_ITER", iterations)
            train_detector(engine, accelerated(engine, job, words))
            found[words] = losses(bench.folder / name)[-1]

        assert found[WORDS[engine.name]] == pytest.approx(found["exact"], rel=limit)


def test_a_run_that_is_continued_goes_on_as_it_began(
    engine: Engine, bench: Bench, plain: Words
) -> None:
    train_detector(engine, accelerated(engine, bench.job("whole", *plain), WORDS[engine.name]))
    bench.cut("whole", "model_0000001.pth", "cut")
    train_detector(engine, bench.job("cut", *plain, resume=True))
    one, other = (
        torch.load(bench.folder / name / "model_final.pth", weights_only=True)["model"]
        for name in ("whole", "cut")
    )
    assert all(torch.equal(value, other[key]) for key, value in one.items())
    solver = yaml.safe_load((bench.folder / "cut" / "config.yaml").read_text())["SOLVER"]
    assert (solver["FOLD_NORMS"], solver["CHANNELS_LAST"]) == (True, True)
    log = (bench.folder / "cut" / "log.txt").read_text()
    assert "SOLVER.FOLD_NORMS stays True, as the run began; --acceleration says otherwise" in log
    assert "4 iterations of 2 images, channels last, frozen norms folded" in log


def test_words_say_otherwise(bench: Bench, plain: Words) -> None:
    engine = resolve_engine("portable")
    train_detector(engine, accelerated(engine, bench.job("whole", *plain), "fold_norms"))
    bench.cut("whole", "model_0000001.pth", "cut")
    train_detector(engine, accelerated(engine, bench.job("cut", *plain, resume=True), "exact"))
    solver = yaml.safe_load((bench.folder / "cut" / "config.yaml").read_text())["SOLVER"]
    assert solver["FOLD_NORMS"] is False
    log = (bench.folder / "cut" / "log.txt").read_text()
    assert "SOLVER.FOLD_NORMS was True before and is False from here on" in log


@pytest.mark.long
def test_compiled_in_parts_and_evaluated_as_written(bench: Bench, plain: Words) -> None:
    engine = resolve_engine("portable")
    compiled = bench.job("compiled", *plain[:4], "SOLVER.COMPILE", True, "SOLVER.EMA.ENABLED", True)
    try:
        check_compile(compiled.loaded.cfg)
    except UserError as error:
        pytest.skip(str(error))
    train_detector(engine, compiled)
    train_detector(engine, bench.job("plain", *plain[:4], "SOLVER.EMA.ENABLED", True))
    found = [losses(bench.folder / name)[-1] for name in ("compiled", "plain")]
    assert found[0] == pytest.approx(found[1], rel=FOURTH_UPDATE)
    ends = json.loads((bench.folder / "compiled" / "result.json").read_text())["metrics"]
    evaluate_detector(engine, bench.job("compiled", resume=True))
    again = bench.folder / "compiled" / "inference" / "result.json"
    assert json.loads(again.read_text())["metrics"] == ends


def test_a_detector_is_evaluated_as_asked(bench: Bench) -> None:
    engine = resolve_engine("portable")
    train_detector(engine, bench.job("run"))
    results = {}
    for words in ("exact", "channels_last fold_norms fast_pooling"):
        job = bench.job("run", resume=True)
        evaluate_detector(engine, replace(job, acceleration=acceleration_of_words(words)))
        results[words] = json.loads((bench.folder / "run/inference/result.json").read_text())
    assert [found["acceleration"] for found in results.values()] == [
        "exact",
        "float32 channels_last fold_norms fast_pooling",
    ]
    exact, fast = (found["metrics"]["AP"] for found in results.values())
    assert fast == pytest.approx(exact, abs=0.1)
