"""One training step of a detector, as the trainer takes it. Engine-neutral."""

from collections.abc import Callable
from typing import Any

import torch
from fvcore.common.config import CfgNode

from resnext_det.benchmarking.training_set import NAME
from resnext_det.benchmarking.work import Work
from resnext_det.config import with_values
from resnext_det.data.coco import CocoDataset
from resnext_det.engines.base import DetectionRun, Engine
from resnext_det.training.acceleration import compiled, in_layout, set_cudnn, set_memory
from resnext_det.training.device import resolve_device
from resnext_det.training.passes import Passes
from resnext_det.training.precision import build_precision

Step = Callable[[], dict[str, float]]
"""Takes one update and returns the losses before it, by name."""


def for_training(cfg: CfgNode, batch: int) -> CfgNode:
    """Returns the config of steps on one batch, by which the weights hardly move.

    So every round is the same work.
    """
    keys = {
        "SOLVER.IMS_PER_BATCH": batch,
        "SOLVER.REFERENCE_BATCH": 0,
        "SOLVER.GRADIENT_ACCUMULATION": 1,
        "SOLVER.BASE_LR": 1.0e-5,
        "DATALOADER.NUM_WORKERS": 0,
        "DATASETS.TRAIN": [NAME],
        "DATASETS.TEST": [],
        "SEED": 0,
    }
    return with_values(cfg, keys)


def training_step(work: Work, engine: Engine, cfg: CfgNode, dataset: CocoDataset) -> Step:
    """Builds a detector with the work's weights and returns its training step.

    The same batch is taken every time; reading and resizing it is not part of the step.

    Args:
        work: what is timed.
        engine: whose detector.
        cfg: of the steps, see `for_training`.
        dataset: of `write_training_set`, at least as many images as the batch has.
    """
    device = resolve_device(cfg)
    set_memory(cfg)
    set_cudnn(cfg)
    model = in_layout(cfg, work.build_model(engine, cfg, work.initial)).train()
    batch: Any = next(engine.train_batches(DetectionRun(cfg, dataset, {}, None), 0))
    optimizer, _ = engine.build_solver(cfg, model)
    passes = Passes(engine.build_losses(None), precision=build_precision(cfg, device))
    forward = compiled(cfg, model)

    def step() -> dict[str, float]:
        torch.manual_seed(0)  # of parts that draw from the global generator
        optimizer.zero_grad(set_to_none=True)
        losses = passes.backward(forward, batch)
        passes.scaler.step(optimizer)
        passes.scaler.update()
        return {name: float(loss) for name, loss in losses.items()}

    return step
