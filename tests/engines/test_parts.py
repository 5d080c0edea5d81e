"""The parts that an engine gives to the common flow, on both engines."""

from typing import Any

import pytest
import torch

from resnext_det.config import get_cfg, with_values
from resnext_det.data.coco import load_coco
from resnext_det.engines.base import DetectionRun, Engine, as_validation, flat_metrics
from tests.engines.conftest import NUM_IMAGES, Bench


def make_run(bench: Bench, *words: Any) -> DetectionRun:
    cfg = with_values(bench.job("x", *words).loaded.cfg, {"MODEL.ROI_HEADS.NUM_CLASSES": 2})
    test = load_coco(bench.entry, training=False)
    return DetectionRun(cfg, load_coco(bench.entry, training=True), {"shapes": test}, None)


def test_validation_batches_hold_each_image_once_at_test_size(engine: Engine, bench: Bench) -> None:
    run = make_run(bench, "INPUT.MIN_SIZE_TRAIN", "[32]")
    batches = [list(engine.validation_batches(run, "shapes")) for _ in range(2)]
    assert [len(batch) for batch in batches[0]] == [1] * NUM_IMAGES
    model = engine.build_model(run.cfg).train()
    losses = [[_losses(engine, model, batch) for batch in batches[i]] for i in range(2)]
    assert losses[0] == losses[1]
    heights = {_height(batch[0]) for batch in batches[0]}
    assert heights == {run.cfg.INPUT.MIN_SIZE_TEST}


def test_detect_returns_the_boxes_that_evaluation_scores(engine: Engine, bench: Bench) -> None:
    run = make_run(bench, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0)
    torch.manual_seed(0)
    model = engine.build_model(run.cfg)
    records = run.tests["shapes"].records[:2]
    found = engine.detect(model, run, records)
    assert len(found) == 2
    for record, detections in zip(records, found, strict=True):
        assert 0 < len(detections) <= run.cfg.TEST.DETECTIONS_PER_IMAGE
        assert detections.boxes[:, 2].max() <= record.width
        assert (detections.scores.diff() <= 0).all()


def test_validation_config_leaves_the_augmentation_out() -> None:
    cfg = with_values(get_cfg(), {"INPUT.CROP.ENABLED": True, "INPUT.MIN_SIZE_TEST": 77})
    changed = as_validation(cfg)
    assert (list(changed.INPUT.MIN_SIZE_TRAIN), changed.INPUT.RANDOM_FLIP) == ([77], "none")
    assert not changed.INPUT.CROP.ENABLED


def test_metrics_are_named_as_detectron2_names_them() -> None:
    one = {"val": {"AP": 1.0, "AP-a/b": 2.0, "segm/AP": 3.0}}
    assert flat_metrics(one) == {"bbox/AP": 1.0, "bbox/AP-a/b": 2.0, "segm/AP": 3.0}
    two = {"a": {"AP": 1.0}, "b": {"segm/AP": None}}
    assert flat_metrics(two) == {"a/bbox/AP": 1.0, "b/segm/AP": None}


@pytest.fixture(autouse=True)
def _one_seed() -> None:
    torch.manual_seed(1)


def _losses(engine: Engine, model: torch.nn.Module, batch: Any) -> dict[str, float]:
    torch.manual_seed(3)
    with torch.no_grad():
        losses = engine.build_losses(None)(model.train(), batch)
    return {name: float(value) for name, value in losses.items()}


def _height(sample: Any) -> int:
    image = sample["image"] if isinstance(sample, dict) else sample.image
    return image.shape[1]
