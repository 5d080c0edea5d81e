"""Runs of a tiny net whose losses go wrong where a test says. Engine-neutral."""

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from resnext_det.training.checkpoint import Checkpointer, load_checkpoint, restore_model
from resnext_det.training.from_config import (
    build_hooks,
    build_loop,
    build_writer,
    solver_from_config,
)
from resnext_det.training.non_finite.bundle import BatchForm
from tests.training.conftest import NormNet
from tests.training.runs import InterruptAfter, batches, squares

FORM = BatchForm(
    "portable", (), lambda batch: [{"file_name": f"{place}.jpg"} for place in range(len(batch))]
)


@dataclass
class Spoiled:
    """Losses that are not finite at some iterations.

    Attributes:
        loss: iterations whose second loss is NaN.
        gradient: iterations whose losses are finite and whose gradient is not.
        forward: iterations at which the model breaks off.
        pixel: iterations at which a pixel of the batch is NaN.
        statistics: iterations at which a variance overflows, and nothing else.
        at: the iteration that comes next.
    """

    loss: tuple[int, ...] = ()
    gradient: tuple[int, ...] = ()
    forward: tuple[int, ...] = ()
    pixel: tuple[int, ...] = ()
    statistics: tuple[int, ...] = ()
    at: int = 0
    passes: int = 1
    calls: int = field(default=0)

    def __call__(self, model: Any, batch: Any) -> Any:
        iteration = self.at + self.calls // self.passes
        self.calls += 1
        if iteration in self.pixel:
            batch[0][0, 0, 0] = math.nan
        losses = squares(model, batch)
        if iteration in self.statistics:
            model.norm.running_var.data[1] = math.inf  # unseen by autograd
        if iteration in self.forward:
            self.calls = (iteration - self.at + 1) * self.passes  # no further pass is done
            raise FloatingPointError("predictions are not finite")
        if iteration in self.loss:
            losses["loss_b"] = losses["loss_b"] * math.nan
        if iteration in self.gradient:  # the root of 0 has an infinite slope
            losses["loss_b"] = losses["loss_b"] + (losses["loss_b"] * 0).sqrt()
        return losses


def run(
    cfg: Any,
    spoiled: Spoiled,
    *,
    net=None,
    resume=False,
    interrupt_after=None,
    scaler=None,
    losses=None,
):
    """Trains a `NormNet`, or on from the last checkpoint; returns the loop and its outcome."""
    torch.manual_seed(0)
    model = net or NormNet()
    checkpointer = Checkpointer(cfg.OUTPUT_DIR)
    start, state = 0, None
    if resume:
        state = load_checkpoint(checkpointer.latest())
        start = state["iteration"] + 1
        restore_model(model, state, "checkpoint")
    spoiled.at, spoiled.passes = start, cfg.SOLVER.GRADIENT_ACCUMULATION
    with build_writer(cfg, start) as writer:
        loop = build_loop(
            cfg,
            model,
            torch.device("cpu"),
            losses or spoiled,
            writer,
            solver=solver_from_config(cfg, model),
            batch_form=FORM,
        )
        if scaler is not None:
            loop._passes.scaler = loop.guard._scaler = scaler
        hooks = build_hooks(cfg, loop, checkpointer, lambda model: {}, writer)
        if state:
            loop.load_state_dict(state)
        stop = [] if interrupt_after is None else [InterruptAfter(interrupt_after)]
        loop.run(batches(start), start, [*hooks, *stop])
    return loop, hooks


@pytest.fixture
def skipping(cfg):
    cfg.SOLVER.NON_FINITE = "skip"
    return cfg
