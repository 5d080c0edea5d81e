"""Learning rate at every iteration, equal to Detectron2's. Engine-neutral."""

from dataclasses import dataclass

import torch
from fvcore.common.config import CfgNode
from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    ConstantParamScheduler,
    CosineParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
    ParamScheduler,
    StepWithFixedGammaParamScheduler,
)

from resnext_det.errors import UserError

_SCHEDULES = ("WarmupMultiStepLR", "WarmupCosineLR", "WarmupStepWithFixedGammaLR")
_WARMUPS = ("linear", "constant")


@dataclass(frozen=True)
class LRSchedule:
    """A pure function from the iteration to the learning rate; it has no state to save.

    Attributes:
        multiplier: maps progress in [0, 1) to the factor on each group's `initial_lr`.
        base_lr: SOLVER.BASE_LR, the rate that is logged at factor 1.
        max_iter: SOLVER.MAX_ITER.
    """

    multiplier: ParamScheduler
    base_lr: float
    max_iter: int

    def factor_at(self, iteration: int) -> float:
        """Returns the factor for the update of `iteration`, counted from 0."""
        return self.multiplier(iteration / self.max_iter)

    def lr_at(self, iteration: int) -> float:
        """Returns the learning rate that the update of `iteration` uses."""
        return self.base_lr * self.factor_at(iteration)

    def apply(self, optimizer: torch.optim.Optimizer, iteration: int) -> None:
        """Sets every group's rate for the update of `iteration`."""
        factor = self.factor_at(iteration)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor


def build_lr_schedule(cfg: CfgNode) -> LRSchedule:
    """Builds the schedule that SOLVER names, with its warm-up.

    Raises:
        UserError: an unknown name, or steps that do not ascend below MAX_ITER.

    Source: detectron2/solver/{build,lr_scheduler}.py; the schedules are fvcore's.
    """
    solver = cfg.SOLVER
    if solver.MAX_ITER < 1:
        raise UserError(f"SOLVER.MAX_ITER is {solver.MAX_ITER}: it must be at least 1")
    try:
        main = _to_the_iteration(_main_schedule(solver), solver.MAX_ITER)
        multiplier = _to_the_iteration(_with_warmup(solver, main), solver.MAX_ITER)
    except UserError:
        raise
    except (ValueError, IndexError) as error:  # fvcore's own checks and its last index
        raise UserError(
            f"SOLVER: {solver.LR_SCHEDULER_NAME} with STEPS {list(solver.STEPS)}, WARMUP_ITERS "
            f"{solver.WARMUP_ITERS} and MAX_ITER {solver.MAX_ITER} is no schedule ({error}): "
            "steps must ascend and lie between 0 and MAX_ITER"
        ) from error
    return LRSchedule(multiplier, solver.BASE_LR, solver.MAX_ITER)


def _to_the_iteration(schedule: ParamScheduler, max_iter: int) -> ParamScheduler:
    """Lets edges fall on their own iteration in long runs too.

    fvcore looks a millionth of the run ahead, against rounding, which from a million iterations
    on is more than one iteration; half of one serves as well.
    """
    schedule.WHERE_EPSILON = min(schedule.WHERE_EPSILON, 0.5 / max_iter)
    return schedule


def _main_schedule(solver: CfgNode) -> ParamScheduler:
    name = solver.LR_SCHEDULER_NAME
    if name == "WarmupMultiStepLR":
        return _multi_step(solver)
    if name == "WarmupCosineLR":
        end = solver.BASE_LR_END / solver.BASE_LR
        if not 0.0 <= end <= 1.0:
            raise UserError(
                f"SOLVER.BASE_LR_END is {solver.BASE_LR_END}: it must lie between 0 and "
                f"BASE_LR ({solver.BASE_LR})"
            )
        return CosineParamScheduler(1.0, end)
    if name == "WarmupStepWithFixedGammaLR":
        return StepWithFixedGammaParamScheduler(
            1.0, solver.NUM_DECAYS, solver.GAMMA, solver.MAX_ITER
        )
    raise UserError(f"SOLVER.LR_SCHEDULER_NAME is {name!r}: use one of {', '.join(_SCHEDULES)}")


def _multi_step(solver: CfgNode) -> ParamScheduler:
    # Those beyond never come; the config's checks have warned of them.
    steps = [step for step in solver.STEPS if step <= solver.MAX_ITER]
    values = [solver.GAMMA**k for k in range(len(steps) + 1)]
    return MultiStepParamScheduler(values, milestones=steps, num_updates=solver.MAX_ITER)


def _with_warmup(solver: CfgNode, schedule: ParamScheduler) -> ParamScheduler:
    if solver.WARMUP_METHOD not in _WARMUPS:
        raise UserError(
            f"SOLVER.WARMUP_METHOD is {solver.WARMUP_METHOD!r}: use 'linear' or 'constant'"
        )
    length = min(solver.WARMUP_ITERS / solver.MAX_ITER, 1.0)
    start = solver.WARMUP_FACTOR * schedule(0.0)
    end = schedule(0.0) if solver.RESCALE_INTERVAL else schedule(length)
    linear = solver.WARMUP_METHOD == "linear"
    warmup = LinearParamScheduler(start, end) if linear else ConstantParamScheduler(start)
    return CompositeParamScheduler(
        [warmup, schedule],
        lengths=[length, 1.0 - length],
        interval_scaling=["rescaled", "rescaled" if solver.RESCALE_INTERVAL else "fixed"],
    )
