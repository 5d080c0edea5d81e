"""One update's losses and gradient, looked at in every process alike. Engine-neutral."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from resnext_det.training.distributed import mean_over_processes, world_size
from resnext_det.training.passes import Passes

GRADIENT = "gradient norm"
"""What messages and bundles call it beside the losses."""
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
    """

    losses: Mapping[str, float] = field(default_factory=dict)
    gradient_norm: float = 0.0
    error: str = ""
    own: Mapping[str, Tensor] = field(default_factory=dict)
    news: bool = False

    @property
    def terms(self) -> dict[str, float]:
        """The losses and the gradient norm; nothing where `error` is."""
        return {} if self.error else {**self.losses, GRADIENT: self.gradient_norm}

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
        losses = [name for name in self.bad_terms if name != GRADIENT]
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
    """
    try:
        own = passes.backward(model, batch)
    except FloatingPointError as error:
        return Step(error=str(error))
    terms = {**own, GRADIENT: gradient_norm(parameters)}
    if world_size() > 1:
        terms[_NEWS] = torch.full_like(terms[GRADIENT], float(has_news))
    values = mean_over_processes(terms)
    news = values.pop(_NEWS, float(has_news)) > 0
    norm = values.pop(GRADIENT)
    return Step(values, norm, own=own, news=news)


def gradient_norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Returns the L2 norm of all gradients together, 0-d; not finite where one number is not."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())
