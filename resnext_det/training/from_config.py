"""The training loop that a config describes, and its periodic hooks. Engine-neutral."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.training.checkpoint import Checkpointer
from resnext_det.training.device import mixed_precision
from resnext_det.training.distributed import is_main, wrap_model
from resnext_det.training.loop import (
    Hook,
    Losses,
    Stateful,
    TrainLoop,
    checkpoint_hook,
    evaluation_hook,
)
from resnext_det.training.optimizer import build_gradient_clipper, build_optimizer
from resnext_det.training.schedule import LRSchedule, build_lr_schedule
from resnext_det.training.writers import RunWriter


def build_writer(cfg: CfgNode, start: int) -> AbstractContextManager[RunWriter | None]:
    """Returns the main process's writer as a context; nothing in the others.

    Args:
        cfg: names the folder and the number of iterations.
        start: the first iteration of this start of the run.
    """
    if not is_main():
        return nullcontext()
    return RunWriter(cfg.OUTPUT_DIR, start, cfg.SOLVER.MAX_ITER)


def solver_from_config(cfg: CfgNode, model: nn.Module) -> tuple[torch.optim.Optimizer, LRSchedule]:
    """Builds the optimizer and the learning-rate schedule of `SOLVER`.

    Raises:
        UserError: SOLVER describes no schedule, or no parameter is trainable.
    """
    return build_optimizer(cfg, model), build_lr_schedule(cfg)


def build_loop(
    cfg: CfgNode,
    model: nn.Module,
    device: torch.device,
    compute_losses: Losses,
    writer: RunWriter | None,
    *,
    solver: tuple[torch.optim.Optimizer, LRSchedule],
    stateful: Mapping[str, Stateful] | None = None,
) -> TrainLoop:
    """Builds the loop of `SOLVER`, over all processes.

    Args:
        cfg: the configuration, with SEED settled.
        model: on its device, not wrapped.
        device: where the model is.
        compute_losses: (model, batch) -> name -> 0-d loss.
        writer: where scalars go.
        solver: the optimizer, whose groups carry `initial_lr`, and the schedule.
        stateful: what else the checkpoints keep, by entry.
    """
    optimizer, schedule = solver
    return TrainLoop(
        model=wrap_model(model, device),
        compute_losses=compute_losses,
        optimizer=optimizer,
        schedule=schedule,
        max_iter=cfg.SOLVER.MAX_ITER,
        seed=cfg.SEED,
        clip_gradients=build_gradient_clipper(cfg, model),
        mixed_precision=mixed_precision(cfg, device),
        stateful=stateful,
        writer=writer,
    )


def build_hooks(
    cfg: CfgNode,
    loop: TrainLoop,
    checkpointer: Checkpointer,
    evaluate: Callable[[], Mapping[str, float | None]],
    writer: RunWriter | None,
) -> list[Hook]:
    """Builds what happens every CHECKPOINT_PERIOD and every EVAL_PERIOD iterations."""
    max_iter = cfg.SOLVER.MAX_ITER
    return [
        checkpoint_hook(checkpointer, loop, period=cfg.SOLVER.CHECKPOINT_PERIOD, max_iter=max_iter),
        evaluation_hook(evaluate, loop, writer, period=cfg.TEST.EVAL_PERIOD, max_iter=max_iter),
    ]
