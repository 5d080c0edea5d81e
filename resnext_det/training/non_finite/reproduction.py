"""An update that was not finite, done again from its bundle. Engine-neutral."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.errors import UserError
from resnext_det.training.non_finite.bundle import BatchForm
from resnext_det.training.non_finite.facts import largest_gradient
from resnext_det.training.non_finite.reading import Bundle
from resnext_det.training.non_finite.state_before import StateBefore
from resnext_det.training.non_finite.step import (
    GRADIENT,
    STATISTICS,
    bad_names,
    gradient_norm,
    largest,
    saved_buffers,
)
from resnext_det.training.non_finite.trees import not_finite
from resnext_det.training.non_finite.watching import FirstModule, Watch
from resnext_det.training.parts import Stateful
from resnext_det.training.passes import Losses, Passes, SplitBatch, split_list
from resnext_det.training.precision import build_precision

# What torch raises on tensors of other shapes and types than a model takes.
_MISFITS = (LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Task:
    """What an update is made of.

    Attributes:
        cfg: the run's config.
        model: as the config builds it, on its device.
        losses: (model, batch) -> name -> 0-d loss.
        form: of the batches.
        split: (batch, passes) -> that many batches.
        parts: state beside buffers that the forward pass changes, by entry.
    """

    cfg: CfgNode
    model: nn.Module
    losses: Losses
    form: BatchForm
    split: SplitBatch = split_list
    parts: Mapping[str, Stateful] = field(default_factory=dict)


@dataclass(frozen=True)
class Reproduction:
    """What an update gave when it was done again.

    Attributes:
        terms: name -> loss, and the gradient norm; {} after an error.
        error: what the model said when it broke off the forward pass.
        module: the first whose output is not finite.
        parameter: the first whose gradient is not finite, in the order of the backward pass.
        bad_parameters: how many gradients are not finite.
        bad_data: places in the batch that are not finite: rank, place, how many values, image.
        bad_weights: parameters and buffers that are not finite before the update.
        largest_gradient: name and norm of it, where all are finite and their norm together is not.
    """

    terms: Mapping[str, float]
    error: str
    module: FirstModule | None
    parameter: str | None
    bad_parameters: int
    bad_data: tuple[tuple[int, str, int, str], ...]
    bad_weights: tuple[str, ...]
    largest_gradient: tuple[str, float] | None = None

    @property
    def not_finite(self) -> tuple[str, ...]:
        """Names of the terms that are not finite."""
        return tuple(name for name, value in self.terms.items() if not math.isfinite(value))

    def agrees_with(self, bundle: Bundle) -> bool:
        """Tells whether the same terms are not finite, or the model broke off likewise."""
        if bundle.error or self.error:
            return bool(bundle.error) == bool(self.error)
        return set(self.not_finite) == set(bundle.not_finite)


def reproduce(bundle: Bundle, task: Task) -> Reproduction:
    """Does a bundle's update again, the shares of its processes one after another.

    Gradients are averaged as DistributedDataParallel does. SyncBN has the statistics of one share
    at a time, as it has in a process of its own.

    Raises:
        UserError: the model or the batch is not what the config describes.
    """
    passes = _restore(bundle, task)
    before = StateBefore(task.model, task.parts)
    before.remember()
    bad_weights = tuple(name for name, value in bundle.model().items() if _is_bad(value))
    watch, error, bad_data = Watch(bad_weights), "", []
    sums: dict[str, float] = {}
    statistics: list[float] = []  # of each share that left some that are not finite
    task.model.train()
    with watch.watching(task.model):
        for rank, seed in enumerate(bundle.seeds):
            batch, tensors = bundle.batch(rank, task.form.kinds)
            bad_data += [(rank, p, n, _image(bundle, rank, p)) for p, n in not_finite(tensors)]
            before.put_back()
            watch.begin()
            torch.manual_seed(seed)
            losses, error = _losses(passes, task, batch, bundle)
            if error:
                break
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value / bundle.processes
            buffers = saved_buffers(task.model)
            if bad_names(buffers):
                statistics.append(float(largest(buffers.values())))
    terms = {} if error else {**sums, GRADIENT: _norm(task.model, bundle.processes)}
    if terms and statistics and all(map(math.isfinite, sums.values())):
        terms[STATISTICS] = statistics[0]
    return Reproduction(
        terms=terms,
        error=error,
        module=watch.module,
        parameter=watch.parameter,
        bad_parameters=len(watch.bad_parameters),
        bad_data=tuple(bad_data),
        bad_weights=bad_weights,
        largest_gradient=_largest_gradient(terms, watch, task.model),
    )


def _losses(passes: Passes, task: Task, batch: Any, bundle: Bundle) -> tuple[dict[str, float], str]:
    try:
        losses = passes.backward(task.model, batch)
    except FloatingPointError as raised:
        return {}, str(raised)
    except (*_MISFITS, AssertionError, AttributeError) as raised:
        reason = " ".join(str(raised).split())[:160]
        raise UserError(
            f"{bundle.folder}: its batch does not go through the model that its config describes "
            f"({type(raised).__name__}: {reason})"
        ) from raised
    return {name: float(loss) for name, loss in losses.items()}, ""


def _restore(bundle: Bundle, task: Task) -> Passes:
    """Puts model, parts and scaler into the state before the update."""
    try:
        passes = _passes(bundle, task)
        task.model.load_state_dict(bundle.model())
        for name, part in task.parts.items():
            part.load_state_dict(bundle.parts.get(name, {}))
    except _MISFITS as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{bundle.folder}: its state does not fit the model that its config says ({reason})"
        ) from error
    return passes


def _passes(bundle: Bundle, task: Task) -> Passes:
    device = next(task.model.parameters()).device
    precision = build_precision(task.cfg, device)
    passes = Passes(task.losses, task.cfg.SOLVER.GRADIENT_ACCUMULATION, task.split, precision)
    if passes.scaler.is_enabled() and bundle.scaler:
        passes.scaler.load_state_dict(dict(bundle.scaler))
    return passes


def _norm(model: nn.Module, processes: int) -> float:
    return float(gradient_norm(list(model.parameters()))) / processes


def _largest_gradient(
    terms: Mapping[str, float], watch: Watch, model: nn.Module
) -> tuple[str, float] | None:
    if watch.bad_parameters or math.isfinite(terms.get(GRADIENT, 0.0)):
        return None
    return largest_gradient(model)


def _image(bundle: Bundle, rank: int, place: str) -> str:
    """The image that a place in a batch belongs to: that of number 1 in `1.gt_boxes`."""
    first, images = place.split(".")[0], bundle.images[rank]
    if not first.isdecimal() or int(first) >= len(images):
        return ""
    return str(next(iter(images[int(first)].values()), ""))


def _is_bad(value: torch.Tensor) -> bool:
    return value.is_floating_point() and not bool(value.isfinite().all())
