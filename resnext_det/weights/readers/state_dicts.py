"""Where a checkpoint keeps its state dict, and what is refused as a tensor. Engine-neutral."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from resnext_det.errors import UserError
from resnext_det.weights.content import Container, FileContent

_PLACES = ("model", "state_dict", "model_state")  # ours and Detectron2's, mmpretrain's, pycls'


def content_of(
    checkpoint: Mapping[str, Any],
    container: Container,
    source: str,
    ignored: tuple[str, ...] = (),
) -> FileContent:
    """Takes a checkpoint apart into its tensors and what stands beside them.

    Args:
        checkpoint: a bare state dict, or one with more beside it.
        container: the form of the file.
        source: its path, for messages.
        ignored: see FileContent.

    Raises:
        UserError: a tensor has no plain real numbers.
    """
    place = next((p for p in _PLACES if isinstance(checkpoint.get(p), Mapping)), None)
    state = checkpoint if place is None else checkpoint[place]
    tensors = {
        _without_wrapper(key): value
        for key, value in state.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    check_numbers(tensors, source)
    extras = {} if place is None else {k: v for k, v in checkpoint.items() if k != place}
    return FileContent(container, tensors, extras, ignored)


def check_numbers(tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuses what no model is filled from, though torch saves it.

    Raises:
        UserError: a tensor is complex, quantized, sparse or without storage.
    """
    for name, value in tensors.items():
        kind = "complex" if value.is_complex() else "quantized" if value.is_quantized else None
        kind = "sparse" if value.layout != torch.strided else "meta" if value.is_meta else kind
        if kind:
            raise UserError(f"{source}: {name} is a {kind} tensor; save it as plain numbers")


def _without_wrapper(key: str) -> str:
    return key.removeprefix("module.")  # DistributedDataParallel's
