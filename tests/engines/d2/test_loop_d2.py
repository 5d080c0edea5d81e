"""Detectron2's models in this project's loop, against Detectron2's own trainer. Detectron2."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from resnext_det.config import with_values
from resnext_det.data.coco import load_coco
from resnext_det.engines.base import DetectionRun, resolve_engine
from resnext_det.engines.detection import train_detector
from resnext_det.seeding import derive_seed
from tests.engines.conftest import Bench
from tests.engines.d2.test_engine import OTHER_DETECTORS

pytestmark = pytest.mark.d2

SOLVERS = {
    "steps": (),
    "cosine": ("SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR", "SOLVER.NESTEROV", True),
    "clipped": ("SOLVER.CLIP_GRADIENTS.ENABLED", True, "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", 0.01),
}


@pytest.mark.parametrize("solver", SOLVERS)
def test_updates_equal_detectron2s_own_trainers_to_the_bit(solver: str, bench: Bench) -> None:
    train_detector(resolve_engine("d2"), bench.job("run", "DATASETS.TEST", "[]", *SOLVERS[solver]))
    ours = _final_weights(bench, "run")
    theirs = _weights_of_detectron2s_trainer(bench, SOLVERS[solver])
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_retinanet_resumes_to_the_bit(bench: Bench) -> None:
    """Detectron2's own checkpoint forgets the number that RetinaNet's losses are divided by."""
    words = (*OTHER_DETECTORS["RetinaNet"], "DATASETS.TEST", "[]")
    d2 = resolve_engine("d2")
    train_detector(d2, bench.job("whole", *words))
    bench.cut("whole", "model_0000002.pth", "cut")
    train_detector(d2, bench.job("cut", *words, resume=True))
    whole, resumed = _final_weights(bench, "whole"), _final_weights(bench, "cut")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_what_detectron2_counts_beside_the_losses_is_written(bench: Bench) -> None:
    train_detector(resolve_engine("d2"), bench.job("run", "DATASETS.TEST", "[]"))
    line = json.loads((bench.folder / "run" / "metrics.json").read_text().splitlines()[-1])
    assert line["roi_head/num_fg_samples"] > 0
    assert 0 <= line["fast_rcnn/cls_accuracy"] <= 1
    losses = ("loss_cls", "loss_box_reg", "loss_rpn_cls", "loss_rpn_loc")
    assert line["total_loss"] == pytest.approx(sum(line[name] for name in losses), rel=0.5)


def test_detectron2s_training_pictures_reach_tensorboard(bench: Bench) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    words = ("DATASETS.TEST", "[]", "VIS_PERIOD", 3)
    train_detector(resolve_engine("d2"), bench.job("run", *words))
    events = EventAccumulator(str(bench.folder / "run")).Reload()
    (name,) = events.Tags()["images"]
    assert [event.step for event in events.Images(name)] == [0, 3]


def _weights_of_detectron2s_trainer(bench: Bench, words: tuple[Any, ...]) -> dict[str, Tensor]:
    """The weights after the same batches in Detectron2's SimpleTrainer, optimizer and schedule."""
    from detectron2.engine import SimpleTrainer, hooks
    from detectron2.solver import build_lr_scheduler, build_optimizer

    engine = resolve_engine("d2")
    job = bench.job("theirs", *words)
    cfg = with_values(job.loaded.cfg, {"MODEL.ROI_HEADS.NUM_CLASSES": 2})
    run = DetectionRun(cfg, load_coco(bench.entry, training=True), {}, None)
    torch.manual_seed(derive_seed(cfg.SEED))
    model = engine.build_model(cfg)
    optimizer = build_optimizer(cfg, model)
    trainer = SimpleTrainer(model, engine.train_batches(run, 0), optimizer)
    trainer.register_hooks([hooks.LRScheduler(optimizer, build_lr_scheduler(cfg, optimizer))])
    step = trainer.run_step

    def seeded_step() -> None:
        torch.manual_seed(derive_seed(cfg.SEED, trainer.iter, 0))
        step()

    trainer.run_step = seeded_step
    trainer.train(0, cfg.SOLVER.MAX_ITER)
    return model.state_dict()


def _final_weights(bench: Bench, name: str) -> dict[str, Tensor]:
    return torch.load(bench.folder / name / "model_final.pth", weights_only=True)["model"]
