"""What a run says of the weights it started from, and under which licence, on both engines."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from resnext_det.config import load_config
from resnext_det.engines.base import Engine
from resnext_det.engines.detection import DetectionJob, evaluate_detector, train_detector
from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of
from resnext_det.modeling.from_config import backbone_from_config
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import with_digest, write_beside
from tests.engines.conftest import Bench

ORIGIN = "https://host/resnext_50_32x4d.t7"
QUICK = ("DATASETS.TEST", "[]", "SOLVER.CHECKPOINT_PERIOD", 3)
STRICT = ("MODEL.WEIGHTS_LICENCE_POLICY", "commercial")


@pytest.fixture
def backbone(bench: Bench) -> Path:
    """A file with a side-car: a backbone under a licence for non-commercial use."""
    torch.manual_seed(0)
    state = backbone_from_config(bench.job("x").loaded.cfg).state_dict()
    path = bench.config.with_name("backbone.pth")
    torch.save(state, path)
    known = SideCar(origin=ORIGIN, licence="CC-BY-NC-4.0", norm="BN")
    write_beside(path, with_digest(known, state))
    return path


def weights_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())["weights"]


def entry_in(path: Path) -> dict[str, str]:
    return torch.load(path, weights_only=True)["started_from"]


def test_checkpoints_and_results_name_licence_and_origin(
    engine: Engine, bench: Bench, backbone: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        train_detector(engine, bench.job("run", *QUICK, "MODEL.WEIGHTS", backbone))
    assert "licence: CC-BY-NC-4.0" in caplog.text
    run = bench.folder / "run"
    start = {
        "source": str(backbone),
        "sha256": sha256_of(backbone),
        "licence": "CC-BY-NC-4.0",
        "origin": ORIGIN,
    }
    assert entry_in(run / "model_final.pth") == start
    found = weights_in(run)
    loaded = found.pop("loaded")
    assert found == start
    assert loaded["share"]["backbone"] == 1.0
    assert loaded["missing"]["tensors"] == 30
    assert loaded["unexpected"] == {"tensors": 0, "parameters": 0}

    bench.cut("run", "model_0000002.pth", "cut")
    train_detector(engine, bench.job("cut", *QUICK, resume=True))
    assert entry_in(bench.folder / "cut" / "model_final.pth") == start
    assert weights_in(bench.folder / "cut") == start

    evaluate_detector(engine, bench.job("again", "MODEL.WEIGHTS", run / "model_final.pth"))
    again = weights_in(bench.folder / "again" / "inference")
    assert again["source"] == str(run / "model_final.pth")
    assert (again["licence"], again["origin"]) == ("CC-BY-NC-4.0", ORIGIN)
    assert again["loaded"]["share"] == {"tensors": 1.0, "parameters": 1.0, "backbone": 1.0}


def test_a_run_from_scratch_says_so_and_passes_every_policy(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run", *QUICK))
    assert weights_in(bench.folder / "run") == {"origin": "trained from scratch"}
    known = ("MODEL.WEIGHTS_LICENCE_POLICY", "known_commercial")
    train_detector(engine, bench.job("run", *QUICK, *known, "SOLVER.MAX_ITER", 7, resume=True))


def test_the_policy_holds_for_training_evaluating_and_going_on(
    engine: Engine, bench: Bench, backbone: Path
) -> None:
    train_detector(engine, bench.job("run", *QUICK, "MODEL.WEIGHTS", backbone))
    tuned = bench.folder / "run" / "model_final.pth"
    refusal = r"is under CC-BY-NC-4\.0, which forbids commercial use \(it comes from https"
    with pytest.raises(UserError, match=rf"backbone\.pth {refusal}"):
        train_detector(engine, bench.job("new", *QUICK, *STRICT, "MODEL.WEIGHTS", backbone))
    with pytest.raises(UserError, match=rf"model_final\.pth {refusal}"):
        evaluate_detector(engine, bench.job("eval", *STRICT, "MODEL.WEIGHTS", tuned))
    longer = (*QUICK, *STRICT, "SOLVER.MAX_ITER", 9)
    with pytest.raises(UserError, match=rf"model_final\.pth {refusal}"):
        train_detector(engine, bench.job("run", *longer, resume=True))


def test_the_architecture_of_a_base_follows_the_weights_and_is_kept_on_resume(
    engine: Engine, bench: Bench, backbone: Path
) -> None:
    base = yaml.safe_load(bench.config.read_text())
    base["MODEL"]["RESNETS"] |= {"DEPTH": 50, "NUM_GROUPS": 8, "WIDTH_PER_GROUP": 2}
    (bench.config.parent / "base.yaml").write_text(yaml.safe_dump(base))
    named = bench.config.with_name("named.yaml")
    named.write_text("_BASE_: base.yaml\n")

    def job(name: str, *words: object, resume: bool = False) -> DetectionJob:
        given = ["OUTPUT_DIR", str(bench.folder / name), *map(str, words)]
        return DetectionJob(load_config(str(named), given), {"shapes": bench.entry}, resume)

    train_detector(engine, job("run", *QUICK, "MODEL.WEIGHTS", backbone))
    config = yaml.safe_load((bench.folder / "run" / "config.yaml").read_text())
    net = config["MODEL"]["RESNETS"]
    assert (net["DEPTH"], net["NUM_GROUPS"], net["WIDTH_PER_GROUP"]) == (26, 4, 4)
    bench.cut("run", "model_0000002.pth", "cut")
    train_detector(engine, job("cut", *QUICK, resume=True))
    whole, cut = (
        torch.load(bench.folder / name / "model_final.pth", weights_only=True)["model"]
        for name in ("run", "cut")
    )
    assert all(torch.equal(whole[key], cut[key]) for key in whole)
    refusal = r"is 4x4d \(depth 26\), the config says 8x2d \(depth 50\)"
    deep = (*QUICK, "MODEL.RESNETS.DEPTH", 50)
    with pytest.raises(UserError, match=refusal):
        train_detector(engine, job("deep", *deep, "MODEL.WEIGHTS", backbone))
    longer = (*deep, "SOLVER.MAX_ITER", 9)
    with pytest.raises(UserError, match=r"DEPTH is 50, but .* was trained with 26"):
        train_detector(engine, job("cut", *longer, resume=True))
    evaluate_detector(
        engine, job("again", "MODEL.WEIGHTS", bench.folder / "run" / "model_final.pth")
    )
