"""Tensors of Torch7 files as checked views of their storages. Engine-neutral."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from resnext_det.weights.readers.torch7_objects import Storage
from resnext_det.weights.readers.torch7_stream import Torch7Error, empty_array

_MAX_DIMENSIONS = 20


def view_of(
    storage: Any,
    element: str,
    sizes: Sequence[int],
    strides: Sequence[int],
    offset: int,
    where: str,
) -> Tensor:
    """Lays a tensor over its storage; tensors of one storage share its memory.

    Args:
        storage: a Storage, or None where the tensor is empty.
        element: the tensor's type, a key of `torch7_stream.ELEMENTS`.
        sizes: one for each dimension; none is an empty tensor in Torch7.
        strides: likewise, in elements.
        offset: of the first element, from 0.
        where: the tensor, for messages.

    Raises:
        Torch7Error: it is no storage of that type, a number is negative, an element lies outside,
            or there are more elements than the storage has (a repeated view, of any size).
    """
    if storage is not None and not (isinstance(storage, Storage) and storage.element == element):
        raise Torch7Error(f"{where}: its storage is none of its type")
    if len(sizes) > _MAX_DIMENSIONS:
        raise Torch7Error(f"{where}: {len(sizes)} dimensions")
    if min((*sizes, *strides, offset), default=0) < 0:
        raise Torch7Error(f"{where}: a negative size, stride or offset")
    if not sizes or 0 in sizes:
        return empty_array(element)
    data = torch.empty(0) if storage is None else storage.data
    held = data.numel()
    last = offset + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
    if last >= held:
        raise Torch7Error(f"{where}: reaches element {last + 1} of a storage of {held}")
    if math.prod(sizes) > held:
        raise Torch7Error(f"{where}: {math.prod(sizes)} elements in a storage of {held}")
    steps = [step if n > 1 else 1 for n, step in zip(sizes, strides, strict=True)]
    return torch.as_strided(data, tuple(sizes), steps, offset)
