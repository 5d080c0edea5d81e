"""The forward and backward passes of one update, in one go or in several. Engine-neutral."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from resnext_det.errors import UserError
from resnext_det.training.distributed import (
    ErrorExchange,
    without_compilation,
    world_size,
)
from resnext_det.training.precision import FLOAT32, Precision

Losses = Callable[[nn.Module, Any], Mapping[str, Tensor]]
SplitBatch = Callable[[Any, int], Sequence[Any]]


def split_list(batch: Sequence[Any], passes: int) -> list[Sequence[Any]]:
    """Splits a list of samples into `passes` lists of as many, in order."""
    size = len(batch) // passes
    assert size * passes == len(batch), "check_passes comes first"
    return [batch[start : start + size] for start in range(0, len(batch), size)]


def check_passes(cfg: CfgNode) -> None:
    """Checks that the images of an update can be shared among processes and passes.

    Raises:
        UserError: they cannot.
    """
    batch, passes = cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.GRADIENT_ACCUMULATION
    if batch % (passes * world_size()):
        raise UserError(
            f"SOLVER.IMS_PER_BATCH is {batch}, which cannot be shared by {world_size()} "
            f"process(es) times SOLVER.GRADIENT_ACCUMULATION {passes}"
        )


class Passes:
    """Adds up the gradients of one update's images.

    The losses are averaged over the passes, so that for losses that are means over images,
    several passes do what one does, in less memory. Batch statistics are each pass's own.

    Args:
        compute_losses: (model, batch) -> name -> 0-d loss; their sum is minimised.
        count: SOLVER.GRADIENT_ACCUMULATION.
        split_batch: (batch, count) -> that many batches.
        precision: of the forward pass.
    """

    def __init__(
        self,
        compute_losses: Losses,
        count: int = 1,
        split_batch: SplitBatch = split_list,
        precision: Precision = FLOAT32,
    ) -> None:
        self._compute_losses = compute_losses
        self._count = count
        self._split_batch = split_batch
        self._precision = precision
        self.scaler = precision.build_scaler()
        self._errors = ErrorExchange()

    def backward(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Adds the batch's gradients to the parameters', scaled by `scaler`.

        Among several processes they are exchanged in the last pass only.

        Returns:
            The losses by name, 0-d and without a graph, means over the passes.

        Raises:
            FloatingPointError: the model broke off its forward pass, in this process or in another:
                all raise alike, before any waits for the others' gradients.
        """
        parts = self._split_batch(batch, self._count) if self._count > 1 else [batch]
        means: dict[str, Tensor] = {}
        for place, part in enumerate(parts, 1):
            with nullcontext() if place == len(parts) else _without_exchange(model):
                losses = self._one_pass(model, part)
            for name, loss in losses.items():
                means[name] = means[name] + loss if name in means else loss
        return means

    def _one_pass(self, model: nn.Module, part: Any) -> dict[str, Tensor]:
        error, losses = None, {}
        with self._precision.autocast():
            try:
                losses = self._compute_losses(model, part)
            except FloatingPointError as raised:
                error = raised
            self._errors.raise_alike(error)
            total = sum(losses.values(), start=torch.zeros((), device=_device_of(losses)))
        self.scaler.scale(total / self._count).backward()
        return {name: loss.detach() / self._count for name, loss in losses.items()}


def _without_exchange(model: nn.Module) -> AbstractContextManager[None]:
    model = without_compilation(model)
    distributed = isinstance(model, nn.parallel.DistributedDataParallel)
    return model.no_sync() if distributed else nullcontext()


def _device_of(losses: Mapping[str, Tensor]) -> torch.device:
    return next(iter(losses.values())).device
