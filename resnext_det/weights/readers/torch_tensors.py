"""Tensors from their descriptions and the bytes of a torch file's storages. Engine-neutral."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from resnext_det.errors import UserError, one_line
from resnext_det.inert_pickle.tensors import OddTensor, StorageRef, TensorRef
from resnext_det.weights.readers.state_dicts import PLAIN_TYPES, odd_tensor

_TYPES = {str(kind).removeprefix("torch."): kind for kind in PLAIN_TYPES}
# Tied weights stand in a file once; a file of one tensor under a thousand names is no state dict.
_MOST_NUMBERS_PER_BYTE = 4
_SMALL = 1 << 20


class TensorReader:
    """Makes tensors, reading each storage once and none that is not asked for.

    Tensors that share a storage in the file share it here.

    Args:
        read: StorageRef, bytes of a number -> the storage's bytes as uint8, which it checks to be
            as many as the description says.
        file_bytes: size of the file.
        source: its path, for messages.
    """

    def __init__(
        self, read: Callable[[StorageRef, int], Tensor], file_bytes: int, source: str
    ) -> None:
        self._read = read
        self._file_bytes = file_bytes
        self._left = _SMALL + _MOST_NUMBERS_PER_BYTE * file_bytes
        self._source = source
        self._storages: dict[str, Tensor] = {}

    def __call__(self, name: str, value: Any) -> Tensor | None:
        """Returns the tensor that a value describes, None where it describes none.

        Raises:
            UserError: it has no plain numbers, or its place in the storage cannot be.
        """
        if isinstance(value, OddTensor):
            raise UserError(odd_tensor(self._source, name, value.kind))
        if not isinstance(value, TensorRef):
            return None
        kind = _TYPES.get(value.type)
        if kind is None:
            raise UserError(odd_tensor(self._source, name, _kind(value.type)))
        self._check_place(name, value, kind.itemsize)
        if 0 in value.size:
            return torch.empty(value.size, dtype=kind)
        start = value.storage.view[0] if value.storage.view else 0
        return self._numbers(value, kind).as_strided(value.size, value.stride, start + value.offset)

    def _numbers(self, value: TensorRef, kind: torch.dtype) -> Tensor:
        """The storage, as numbers of one type."""
        storage = value.storage
        if storage.key not in self._storages:
            raw = self._read(storage, kind.itemsize)
            # Bytes other than 0 and 1 are no bool, and torch would compute with them.
            self._storages[storage.key] = raw.clamp_(max=1) if kind == torch.bool else raw
        raw = self._storages[storage.key]
        raw = raw[: raw.numel() // kind.itemsize * kind.itemsize]
        return raw.view(kind)

    def _check_place(self, name: str, value: TensorRef, itemsize: int) -> None:
        where = one_line(f"{self._source}: {name[:120]}: damaged")
        numbers = math.prod(value.size)
        shape = "x".join(str(size) for size in value.size) or "one number"
        if any(size >= 1 << 40 for size in value.size) or numbers >= 1 << 60:
            raise UserError(f"{where}: a tensor of {shape[:80]}")
        storage = value.storage
        start, length = storage.view or (0, storage.length)
        if storage.type == "untyped" and storage.view is None and value.type != "bool":
            length //= itemsize
        elif storage.type != value.type:
            raise UserError(f"{where}: {value.type} in a storage of {storage.type}")
        if start + length > storage.length:
            raise UserError(f"{where}: its view lies outside its storage of {storage.length:,}")
        if not numbers:
            return
        if length * itemsize > self._file_bytes:
            raise UserError(
                f"{where}: its storage claims {length:,} numbers, more than the file has"
            )
        axes = zip(value.stride, value.size, strict=True)
        last = 0
        for step, size in sorted(axis for axis in axes if axis[1] > 1):
            if step <= last:
                raise UserError(
                    f"{where}, or expanded: a tensor of {shape[:80]} uses its numbers more than "
                    "once; save a contiguous copy"
                )
            last += step * (size - 1)
        if value.offset + last >= length:
            raise UserError(
                f"{where}: a tensor of {shape[:80]} from number {value.offset:,} on does not fit "
                f"its storage of {length:,}"
            )
        self._left -= numbers * itemsize
        if self._left < 0:
            raise UserError(f"{where}: its tensors use the file's bytes many times over")


def _kind(text: str) -> str:
    if text.startswith("complex"):
        return "complex"
    return "quantized" if text.startswith("q") else text
