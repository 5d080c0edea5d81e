"""Where a checkpoint keeps its state dict, and what is refused as a tensor. Engine-neutral."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnext_det.errors import UserError, one_line
from resnext_det.weights.content import Container, FileContent
from resnext_det.weights.readers.averaged import COUNTER, ENTRY, averaged_place
from resnext_det.weights.readers.plain_extras import plain_extras
from resnext_det.weights.readers.wrappers import plain_name, without_attribute

# Ours and Detectron2's, mmpretrain's, pycls', Detectron's, that of PyTorch's tutorials.
_PLACES = ("model", "state_dict", "model_state", "blobs", "model_state_dict")
_MOMENTUM = "_momentum"  # Detectron keeps its optimizer's numbers among the blobs
PLAIN_TYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool),
    *(torch.int64, torch.int32, torch.int16, torch.int8),
    *(torch.uint64, torch.uint32, torch.uint16, torch.uint8),
)
"""Types of the numbers that a model may have."""


def tensor_of(name: str, value: Any) -> Tensor | None:
    """Returns a tensor as it is, None for everything else."""
    return value if isinstance(value, Tensor) else None


def content_of(
    checkpoint: Mapping[str, Any],
    container: Container,
    source: str,
    ignored: tuple[str, ...] = (),
    tensor: Callable[[str, Any], Tensor | None] = tensor_of,
) -> FileContent:
    """Takes a checkpoint apart into its tensors and what stands beside them.

    Args:
        checkpoint: a bare state dict, or one with more beside it.
        container: the form of the file.
        source: its path, for messages.
        ignored: see FileContent.
        tensor: name, value -> its tensor, None where it is none; asked only for the values of the
            state dict, so that nothing else is read. NumPy arrays become tensors without it.

    Raises:
        UserError: a tensor has no plain real numbers, or a name comes twice.
    """
    averaged = averaged_place(checkpoint)
    usual = next((p for p in _PLACES if isinstance(checkpoint.get(p), Mapping)), None)
    place = averaged or usual
    state = checkpoint if place is None else checkpoint[place]
    tensors: dict[str, Tensor] = {}
    rest: dict[Any, Any] = {}
    for key, value in state.items():
        name = _name(key)
        if name is None or name.endswith(_MOMENTUM) or (averaged and name == COUNTER):
            continue
        made = _of_array(value, name, source) if isinstance(value, np.ndarray) else None
        made = tensor(name, value) if made is None else made
        if made is None:
            rest[name] = value
        elif name in tensors:
            raise UserError(one_line(f"{source}: the name {name[:120]} comes twice"))
        else:
            tensors[name] = made
    check_numbers(tensors, source)
    beside = rest if place is None else {k: v for k, v in checkpoint.items() if k != place}
    extras = plain_extras(beside) | ({ENTRY: averaged} if averaged else {})
    return FileContent(container, without_attribute(tensors), extras, ignored)


def check_numbers(tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuses what no model is filled from, though torch saves it.

    Raises:
        UserError: a tensor is complex, quantized, sparse, without storage or of a type that no
            model computes with.
    """
    for name, value in tensors.items():
        kind = None if value.dtype in PLAIN_TYPES else str(value.dtype).removeprefix("torch.")
        kind = "complex" if value.is_complex() else "quantized" if value.is_quantized else kind
        kind = "sparse" if value.layout != torch.strided else "meta" if value.is_meta else kind
        if kind:
            raise UserError(odd_tensor(source, name, kind))


def odd_tensor(source: str, name: str, kind: str) -> str:
    """Returns the message that refuses a tensor without plain numbers."""
    return one_line(f"{source}: {name[:120]} is a {kind} tensor; save it as plain numbers")


def _name(key: Any) -> str | None:
    """A tensor's name, without those of wrappers; Python 2's may be bytes."""
    if isinstance(key, bytes):
        key = key.decode("latin-1")
    return plain_name(key) if isinstance(key, str) else None


def _of_array(array: np.ndarray, name: str, source: str) -> Tensor:
    native = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
    try:
        return torch.from_numpy(native)
    except TypeError:  # a type that torch does not have
        raise UserError(odd_tensor(source, name, str(array.dtype))) from None
