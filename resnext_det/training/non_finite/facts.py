"""What a bundle says of an update that was not finite. Engine-neutral."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of
from resnext_det.training.checkpoint import load_checkpoint
from resnext_det.training.newest import checkpoints, latest_checkpoint
from resnext_det.training.non_finite.step import Step

_MOST_TRIED = 3  # checkpoints that are read to find one whose weights are finite


@dataclass(frozen=True)
class Trouble:
    """An update that was not finite, and the state before it.

    Attributes:
        iteration: counted from 0.
        reason: one line.
        step: what the passes gave.
        batch: this process's share.
        rates: the learning rate of each of the optimizer's groups.
        model: not wrapped; its weights and buffers are those before the update.
        scaler: state of float16's scaler; {} without one.
        parts: further state before the update, by entry.
    """

    iteration: int
    reason: str
    step: Step
    batch: Any
    rates: Sequence[float]
    model: nn.Module
    scaler: Mapping[str, Any]
    parts: Mapping[str, Mapping[str, Any]]


def number(value: float) -> float | str:
    """Returns a number as JSON takes it: "nan", "inf" and "-inf" as text."""
    return value if math.isfinite(value) else str(value)


def numbers(values: Mapping[str, float]) -> dict[str, float | str]:
    """Returns each as `number` does."""
    return {name: number(value) for name, value in values.items()}


def gradient_norms(trouble: Trouble) -> list[dict[str, Any]]:
    """Returns the L2 norm of each parameter's gradient, the worst first; none after an error."""
    if trouble.step.error:
        return []
    scale = float(trouble.scaler.get("scale", 1.0))
    named = trouble.model.named_parameters()
    return _norms(((n, p.grad) for n, p in named if p.grad is not None), scale)


def largest_gradient(model: nn.Module, scale: float = 1.0) -> tuple[str, float] | None:
    """Returns name and L2 norm of the largest gradient; None where one is not finite, or none is.

    Args:
        model: after the backward pass.
        scale: float16's, by which the gradients are multiplied.
    """
    named = ((n, p.grad) for n, p in model.named_parameters() if p.grad is not None)
    first = next(iter(_norms(named, scale)), None)
    if first is None or isinstance(first["norm"], str):
        return None
    return first["name"], first["norm"]


def weight_norms(model: nn.Module) -> list[dict[str, Any]]:
    """Returns the L2 norm of each parameter before the update, the worst first."""
    return _norms(model.named_parameters())


def bad_weights(model: nn.Module) -> list[str]:
    """Returns the names of parameters and buffers that are not finite, in the model's order."""
    named = [*model.named_parameters(), *model.named_buffers()]
    return [name for name, value in named if not bool(value.isfinite().all())]


def last_good_checkpoint(output_dir: Path) -> dict[str, Any] | None:
    """Returns name, digest and iteration of the newest checkpoint whose weights are finite.

    At most three are read; what cannot be read is passed over.
    """
    for path in _newest_first(output_dir)[:_MOST_TRIED]:
        try:
            state = load_checkpoint(path)
            is_good = all(map(_is_finite, _weights_of(state)))
        except (UserError, OSError):
            continue
        if is_good and isinstance(iteration := state.get("iteration"), int):
            return {"name": path.name, "sha256": sha256_of(path), "iteration": iteration}
    return None


@torch.no_grad()
def _norms(
    tensors: Iterable[tuple[str, Tensor | None]], scale: float = 1.0
) -> list[dict[str, Any]]:
    # In float64, whose squares do not overflow; not every device has it.
    found = [
        (name, float(value.to("cpu", torch.float64).norm()) / scale)
        for name, value in tensors
        if value is not None
    ]
    # Stable: of those that are not finite, the first in the model comes first.
    found.sort(key=lambda pair: -pair[1] if math.isfinite(pair[1]) else -math.inf)
    return [{"name": name, "norm": number(value)} for name, value in found]


def _newest_first(output_dir: Path) -> list[Path]:
    """The newest checkpoint as the folder says, then the others by their iteration."""
    try:
        latest = latest_checkpoint(output_dir)
    except UserError:
        latest = None
    others = [path for path in checkpoints(output_dir) if path != latest]
    return [*filter(None, [latest]), *others]


def _weights_of(state: Mapping[str, Any]) -> Iterator[Tensor]:
    for entry in ("model", "training_model"):
        yield from (v for v in dict(state.get(entry, {})).values() if isinstance(v, Tensor))


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())
