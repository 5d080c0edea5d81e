"""Activation checkpointing of one block that leaves BatchNorm statistics right. Engine-neutral."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_TRACKING = (nn.BatchNorm2d, nn.SyncBatchNorm)


def run_checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    """Runs a block and keeps only its input; the backward pass computes the rest again.

    The second computation uses the batch's statistics but does not move the running averages,
    which plain checkpointing would do twice per step.

    Args:
        block: maps one tensor to one tensor, without random draws.
        x: the block's input.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _running_averages_held(block)

    out = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
    assert isinstance(out, Tensor)
    return out


@contextmanager
def _running_averages_held(block: nn.Module) -> Iterator[None]:
    """Lets BatchNorm move copies of its running averages, and puts the originals back."""
    layers = [m for m in block.modules() if isinstance(m, _TRACKING)]
    kept = [dict(layer.named_buffers()) for layer in layers]
    for layer, buffers in zip(layers, kept, strict=True):
        for name, value in buffers.items():
            setattr(layer, name, value.clone())
    try:
        yield
    finally:
        for layer, buffers in zip(layers, kept, strict=True):
            for name, value in buffers.items():
                setattr(layer, name, value)
