"""Validation losses of Detectron2's models. Detectron2."""

import pytest
import torch

from resnext_det.config import with_values
from resnext_det.data.coco import load_coco
from resnext_det.engines.base import DetectionRun, resolve_engine
from resnext_det.engines.validation import validation_losses
from tests.engines.conftest import Bench
from tests.engines.d2.test_engine import OTHER_DETECTORS

pytestmark = pytest.mark.d2


def test_retinanets_normaliser_and_statistics_stay_as_they_are(bench: Bench) -> None:
    engine = resolve_engine("d2")
    cfg = bench.job("run", *OTHER_DETECTORS["RetinaNet"]).loaded.cfg
    cfg = with_values(cfg, {"MODEL.RETINANET.NUM_CLASSES": 2})
    tests = {"shapes": load_coco(bench.entry, training=False)}
    run = DetectionRun(cfg, None, tests, None)
    torch.manual_seed(0)
    model = engine.build_model(cfg)
    training = engine.stateful(model)
    model.loss_normalizer = 37.0
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = validation_losses(engine, model, run, training)
    assert training["loss_normalizers"].state_dict() == {"": 37.0}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert first.keys() == {"val/total_loss", "val/loss_cls", "val/loss_box_reg"}
    assert validation_losses(engine, model, run, training) == first  # nothing is left behind
    model.loss_normalizer = 370.0
    larger = validation_losses(engine, model, run, training)
    assert 0 < larger["val/loss_cls"] < first["val/loss_cls"]
    part = training["loss_normalizers"]
    assert part.shared_anew([{"": 30.0}, {"": 50.0}], 4) == {"": 20.0}
    part.load_state_dict({})  # as before the first iteration
    assert part.state_dict() == {}
    for damaged in ({"": float("nan")}, {"": "x"}, {"": 0.0}, {"other": 3.0}):
        with pytest.raises((KeyError, ValueError)):
            part.load_state_dict(damaged)
