"""The training loop that a config describes, its writer and its hooks. Engine-neutral.

A task trains with these three, in this order: `build_writer`, `build_loop`, `build_hooks`; then
`TrainLoop.load_state_dict` where a run is resumed (before or after `build_hooks`), and
`TrainLoop.run`, which evaluates at the end too.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.training.acceleration import check_compile, check_speed_keys, compiled
from resnext_det.training.averaging import AveragedWeights
from resnext_det.training.best import build_best
from resnext_det.training.boards import Pictures, check_boards, open_boards
from resnext_det.training.checkpoint import Checkpointer
from resnext_det.training.device import check_norms
from resnext_det.training.distributed import is_main, wrap_model
from resnext_det.training.each_process import OfEachProcess
from resnext_det.training.hooks import CheckpointHook, EvaluationHook
from resnext_det.training.loop import TrainLoop
from resnext_det.training.non_finite.bundle import BatchForm, BundleWriter
from resnext_det.training.non_finite.guard import NonFiniteGuard
from resnext_det.training.optimizer import build_gradient_clipper, build_optimizer
from resnext_det.training.parts import Hook, OwnState, Shared, Stateful
from resnext_det.training.passes import Losses, Passes, SplitBatch, check_passes, split_list
from resnext_det.training.precision import build_precision
from resnext_det.training.schedule import LRSchedule, build_lr_schedule
from resnext_det.training.writers import RunWriter

Measure = Callable[[nn.Module], Mapping[str, float | None]]


def check_training(cfg: CfgNode) -> None:
    """Checks, before the run's folder is touched, what the loop would stumble on.

    Raises:
        UserError: SOLVER describes no schedule, a batch that cannot be divided, norms that
            several processes cannot compute here, no compiler for SOLVER.COMPILE, a key of another
            kind of device, or wandb is asked for and not installed.
    """
    build_lr_schedule(cfg)
    check_passes(cfg)
    check_norms(cfg)
    check_compile(cfg)
    check_speed_keys(cfg)
    check_boards(cfg)


def describe_training(cfg: CfgNode) -> str:
    """Says in a line what the log would not show otherwise."""
    solver = cfg.SOLVER
    parts = [f"{solver.MAX_ITER} iterations of {solver.IMS_PER_BATCH} images"]
    if solver.GRADIENT_ACCUMULATION > 1:
        parts.append(f"in {solver.GRADIENT_ACCUMULATION} passes")
    if solver.AMP.ENABLED:
        parts.append(f"AMP {solver.AMP.DTYPE}")
    if solver.CHANNELS_LAST:
        parts.append("channels last")
    if solver.COMPILE:
        parts.append("compiled")
    if solver.FOLD_NORMS:
        parts.append("frozen norms folded")
    faster = {"FAST_POOLING": "pooling", "FAST_SUPPRESSION": "suppression"}
    if shown := [word for key, word in faster.items() if solver[key]]:
        parts.append(f"fast {' and '.join(shown)}")
    if solver.KEEP_MEMORY:
        parts.append("freed memory kept")
    if solver.SAMPLED_ANCHORS:
        parts.append("the RPN's gradients from sampled anchors")
    if solver.EMA.ENABLED:
        parts.append(f"weights averaged with EMA {solver.EMA.DECAY:g}")
    return ", ".join([*parts, f"base lr {solver.BASE_LR:g}", f"seed {cfg.SEED}"])


def build_writer(
    cfg: CfgNode, start: int, num_images: int = 0
) -> AbstractContextManager[RunWriter | None]:
    """Returns the main process's writer as a context; nothing in the others.

    Args:
        cfg: names the folder and the number of iterations.
        start: the first iteration of this start of the run.
        num_images: of the training set, which makes an epoch; 0 tells none.
    """
    if not is_main():
        return nullcontext()
    return RunWriter(
        cfg.OUTPUT_DIR,
        start,
        cfg.SOLVER.MAX_ITER,
        epoch_of_one=cfg.SOLVER.IMS_PER_BATCH / num_images if num_images else 0.0,
        boards=open_boards(cfg, start),
    )


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
    shared: Sequence[Shared] = (),
    model_state: Mapping[str, OwnState] | None = None,
    split_batch: SplitBatch = split_list,
    batch_form: BatchForm | None = None,
    recipe_rate: float = math.inf,
) -> TrainLoop:
    """Builds the loop of `SOLVER`, over all processes.

    Args:
        cfg: the configuration, with SEED settled.
        model: on its device, not wrapped.
        device: where the model is.
        compute_losses: (model, batch) -> name -> 0-d loss, a mean over the batch's images.
        writer: where scalars go.
        solver: the optimizer, whose groups carry `initial_lr`, and the schedule.
        stateful: what else the checkpoints keep, by entry.
        shared: what the processes tell each other after an iteration in which one found out more.
        model_state: what of it the model's forward pass changes: also kept, of each process, and
            put back where an update is skipped.
        split_batch: (batch, passes) -> that many batches; for batches that are lists of
            samples where it is not given.
        batch_form: how a batch is kept that went wrong; None keeps none.
        recipe_rate: see `LoadedConfig`.

    Raises:
        UserError: the batch cannot be divided, or SOLVER.AMP asks for numbers that the GPU
            does not have.
    """
    check_passes(cfg)
    optimizer, schedule = solver
    count, ema = cfg.SOLVER.GRADIENT_ACCUMULATION, cfg.SOLVER.EMA
    passes = Passes(compute_losses, count, split_batch, build_precision(cfg, device))
    guard = NonFiniteGuard(
        model,
        optimizer,
        passes.scaler,
        skips=cfg.SOLVER.NON_FINITE == "skip",
        bundles=BundleWriter(cfg, batch_form, recipe_rate) if batch_form else None,
        parts=model_state,
    )
    of_each = {name: OfEachProcess(name, part) for name, part in (model_state or {}).items()}
    return TrainLoop(
        model=compiled(cfg, wrap_model(model, device)),
        passes=passes,
        optimizer=optimizer,
        schedule=schedule,
        max_iter=cfg.SOLVER.MAX_ITER,
        seed=cfg.SEED,
        clip_gradients=build_gradient_clipper(cfg, model),
        averaged=AveragedWeights(model, ema.DECAY) if ema.ENABLED else None,
        stateful={**(stateful or {}), **of_each},
        shared=shared,
        writer=writer,
        guard=guard,
    )


def build_hooks(
    cfg: CfgNode,
    loop: TrainLoop,
    checkpointer: Checkpointer,
    evaluate: Measure,
    writer: RunWriter | None,
    *,
    validate: Measure | None = None,
    draw: Callable[[nn.Module], Pictures] | None = None,
) -> list[Hook]:
    """Builds what happens every CHECKPOINT_PERIOD and every EVAL_PERIOD iterations.

    Each callable takes the model to use: on its device, not wrapped, with the averaged weights
    where SOLVER.EMA is on. It may leave it in any mode.

    Args:
        cfg: the configuration.
        loop: what is trained.
        checkpointer: writes the files.
        evaluate: in all processes -> metrics by their names in metrics.json; those of the main
            process count, the others may return nothing.
        writer: where the metrics go.
        validate: in all processes -> losses by their names in metrics.json, for
            TEST.VALIDATION_LOSS; see `validation.mean_losses`.
        draw: in the main process alone -> pictures by name, for TEST.PICTURES.
    """

    def measure(model: nn.Module) -> Mapping[str, float | None]:
        losses = validate(model) if validate and cfg.TEST.VALIDATION_LOSS else {}
        return {**evaluate(model), **losses}

    evaluation = EvaluationHook(
        measure,
        loop,
        checkpointer,
        writer,
        period=cfg.TEST.EVAL_PERIOD,
        best=build_best(cfg),
        draw=draw if cfg.TEST.PICTURES else None,
    )
    checkpoints = CheckpointHook(
        checkpointer, loop, period=cfg.SOLVER.CHECKPOINT_PERIOD, keep=cfg.SOLVER.KEEP_CHECKPOINTS
    )
    return [evaluation, checkpoints]
