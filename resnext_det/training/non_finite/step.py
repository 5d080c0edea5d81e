"""One update's losses and gradient, looked at in every process alike. Engine-neutral."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from resnext_det.errors import few
from resnext_det.training.distributed import all_gather_objects, mean_over_processes, world_size
from resnext_det.training.passes import Passes

GRADIENT = "gradient norm"
"""What messages and bundles call it beside the losses."""
STATISTICS = "running statistics"
"""Likewise: the largest number among the buffers, where one is not finite."""
_NEWS = "news"  # beside losses, whose names begin otherwise


@dataclass(frozen=True)
class Step:
    """What the passes of an update gave.

    Attributes:
        losses: by name, means over passes and processes; empty where `error` is.
        gradient_norm: L2 norm of all gradients together, times the scaler's scale; 0 where no
            parameter has one.
        error: what the model said when it broke off the forward pass, in any process.
        own: this process's losses by name, 0-d.
        news: whether any process has something to share (see `parts.Shared`).
        statistics: largest absolute value in the buffers after the passes.
        bad_buffers: names of those that are not finite though the losses are.
    """

    losses: Mapping[str, float] = field(default_factory=dict)
    gradient_norm: float = 0.0
    error: str = ""
    own: Mapping[str, Tensor] = field(default_factory=dict)
    news: bool = False
    statistics: float = 0.0
    bad_buffers: tuple[str, ...] = ()

    @property
    def terms(self) -> dict[str, float]:
        """The losses, the gradient norm and bad statistics; nothing where `error` is."""
        if self.error:
            return {}
        bad = {STATISTICS: self.statistics} if self.bad_buffers else {}
        return {**self.losses, GRADIENT: self.gradient_norm, **bad}

    @property
    def bad_terms(self) -> tuple[str, ...]:
        """Names of the terms that are not finite."""
        return tuple(name for name, value in self.terms.items() if not math.isfinite(value))

    @property
    def is_finite(self) -> bool:
        """Whether the parameters can be updated with it."""
        return not self.error and not self.bad_terms

    @property
    def is_overflow(self) -> bool:
        """Whether the gradient alone is at fault, as where float16 is scaled too much."""
        return self.bad_terms == (GRADIENT,)

    def reason(self) -> str:
        """Says what is wrong, "loss_cls (nan) not finite"; the gradient where it is alone."""
        if self.error:
            return self.error
        losses = [name for name in self.bad_terms if name not in (GRADIENT, STATISTICS)]
        if self.bad_buffers and not losses:
            return f"the losses are finite, {STATISTICS} are not ({few(self.bad_buffers)})"
        named = [f"{name} ({self.terms[name]})" for name in losses or self.bad_terms]
        return f"{', '.join(named)} not finite"

    def scalars(self) -> dict[str, float]:
        """Returns the losses for the log, and `total_loss`, their sum, where none has that name."""
        if "total_loss" in self.losses:
            return dict(self.losses)
        return {"total_loss": sum(self.losses.values()), **self.losses}


def take_step(
    passes: Passes,
    model: nn.Module,
    batch: Any,
    parameters: Sequence[nn.Parameter],
    *,
    has_news: bool = False,
    buffers: Mapping[str, Tensor] | None = None,
) -> Step:
    """Does the passes of one update and looks at what they gave, the same in every process.

    All is fetched from the device at once, after the backward pass. The losses are averaged over
    the processes first: a process whose own are finite must decide as the others do.

    Args:
        passes: make the gradients.
        model: in training mode, wrapped for several processes.
        batch: this process's share.
        parameters: those that are trained.
        has_news: whether this process has something to share. It travels with the losses: a message
            of its own would cost every iteration as much.
        buffers: of floating-point numbers, by name: see `saved_buffers`. A variance can overflow
            while the losses stay finite, and would never be finite again.
    """
    try:
        own = passes.backward(model, batch)
    except FloatingPointError as error:
        return Step(error=str(error))
    buffers = buffers or {}
    terms = {**own, GRADIENT: gradient_norm(parameters)}
    if buffers:
        terms[STATISTICS] = largest(buffers.values())
    if world_size() > 1:
        terms[_NEWS] = torch.full_like(terms[GRADIENT], float(has_news))
    values = mean_over_processes(terms)
    news = values.pop(_NEWS, float(has_news)) > 0
    norm, statistics = values.pop(GRADIENT), values.pop(STATISTICS, 0.0)
    bad: tuple[str, ...] = ()
    if not math.isfinite(statistics) and all(map(math.isfinite, values.values())):
        mine = bad_names(buffers)
        bad = tuple(dict.fromkeys(name for names in all_gather_objects(mine) for name in names))
    return Step(values, norm, own=own, news=news, statistics=statistics, bad_buffers=bad)


def gradient_norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Returns the L2 norm of all gradients together, 0-d; not finite where one number is not."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())


def saved_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Returns the buffers of floating-point numbers that a checkpoint holds, by name.

    Others, as a mask of infinities may be, are made anew with the model.
    """
    saved = model.state_dict(keep_vars=True)
    named = model.named_buffers()
    return {name: b for name, b in named if b.is_floating_point() and name in saved}


@torch.no_grad()
def largest(tensors: Iterable[Tensor]) -> Tensor:
    """Returns the largest absolute value, 0-d; not finite where one number is not.

    Unlike a sum of squares it does not overflow.
    """
    return nn.utils.get_total_norm([t for t in tensors if t.numel()], norm_type=math.inf)


def bad_names(tensors: Mapping[str, Tensor]) -> list[str]:
    """Returns the names of those that are not finite."""
    return [name for name, value in tensors.items() if not bool(value.isfinite().all())]
