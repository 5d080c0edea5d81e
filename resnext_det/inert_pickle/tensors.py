"""Tensors and storages that a pickle of torch.save names, as descriptions. Engine-neutral.

torch writes a tensor as `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, …)`, and a
storage as a persistent id ("storage", type, key, location, length); its numbers stand outside the
pickle (torch/_utils.py, torch/serialization.py). Here both become descriptions, checked by whoever
reads the numbers; torch itself is not needed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from resnext_det.inert_pickle.vocabulary import Name, Refused, shown, shown_sizes

MOST_AXES = 64
_STORAGE = re.compile(r"torch\.(?:cuda\.)?([A-Za-z0-9]+)Storage")
STORAGE_TYPES: Mapping[str, str] = MappingProxyType({
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16",
    "Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8",
    "Bool": "bool", "ComplexDouble": "complex128", "ComplexFloat": "complex64",
    "QInt8": "qint8", "QUInt8": "quint8", "QInt32": "qint32",
    "QUInt4x2": "quint4x2", "QUInt2x4": "quint2x4",
})  # fmt: skip
"""torch.*Storage -> the type of its numbers."""
_UNTYPED = ("torch.storage.UntypedStorage", "torch.UntypedStorage")
NUMBER_TYPES = frozenset(
    (
        *STORAGE_TYPES.values(),
        *("uint16", "uint32", "uint64", "complex32", "float8_e4m3fn", "float8_e4m3fnuz"),
        *("float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    )
)


@dataclass(frozen=True, slots=True, eq=False)
class StorageRef:
    """A run of numbers that stands elsewhere in the file.

    Attributes:
        key: what the file calls it.
        type: of its numbers: "float32", …; "untyped" for bytes.
        length: numbers in it.
        view: where it is a part of that one, as old PyTorch wrote: its first number, its length.
    """

    key: str
    type: str
    length: int
    view: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TensorRef:
    """A tensor, by its place in a storage; nothing is known of whether it fits.

    Attributes:
        storage: where its numbers are.
        type: of its numbers.
        offset: its first number's place there.
        size: its shape, no number below 0.
        stride: numbers from one item to the next, for each axis; none below 0.
    """

    storage: StorageRef
    type: str
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class OddTensor:
    """A tensor without plain numbers.

    Attributes:
        kind: "sparse", "meta", "quantized" or "lazily negated".
    """

    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class TypeRef:
    """A type of numbers that a file names, such as torch.float32."""

    text: str


def is_count(value: Any) -> bool:
    """Tells whether a value is an integer from 0 that fits a file."""
    return type(value) is int and 0 <= value < 1 << 62


def tensor_ref(storage: Any, kind: str, offset: Any, size: Any, stride: Any) -> TensorRef:
    """Returns a tensor's description.

    Raises:
        Refused: its parts are none.
    """
    if not isinstance(storage, StorageRef):
        raise Refused(f"not plain data: a tensor in {shown(storage)} is refused")
    fits = type(size) in (tuple, list) and type(stride) in (tuple, list)
    if not fits or len(size) != len(stride) or len(size) > MOST_AXES:
        raise Refused("damaged: a tensor whose size and stride do not fit each other")
    shape, steps = tuple(size), tuple(stride)
    if not all(map(is_count, (offset, *shape, *steps))):
        of = f"size {shown_sizes(shape)} and stride {shown_sizes(steps)}"
        raise Refused(f"damaged: a tensor of {of}")
    return TensorRef(storage, kind, offset, shape, steps)


def storage_name(text: str) -> Name | None:
    """Returns what stands for a class of storages, None where it is another name."""
    match = _STORAGE.fullmatch(text)
    known = text in _UNTYPED or (match and match[1] in STORAGE_TYPES)
    return Name(text) if known else None


def storage_ref(number: Any) -> StorageRef:
    """Returns the description of a storage.

    Args:
        number: its persistent id, a tuple.

    Raises:
        Refused: it is none.
    """
    if type(number) is not tuple or len(number) not in (5, 6) or number[0] != "storage":
        raise Refused("not plain data: BINPERSID of something that is no storage is refused")
    _, kind, key, _, length, *rest = number
    if not isinstance(kind, Name) or type(key) not in (str, int) or not is_count(length):
        raise Refused("damaged: BINPERSID of a storage without type, key and length")
    view = rest[0] if rest else None
    if view is not None:
        if type(view) is not tuple or len(view) != 3 or not all(map(is_count, view[1:])):
            raise Refused("damaged: BINPERSID of a storage's view without offset and length")
        view = view[1:]
    return StorageRef(str(key)[:200], _storage_type(kind), length, view)


def _storage_type(kind: Name) -> str:
    match = _STORAGE.fullmatch(kind.text)
    if match:
        return STORAGE_TYPES[match[1]]
    if kind.text in _UNTYPED:
        return "untyped"
    raise Refused(f"damaged: BINPERSID of a storage of {shown(kind)}")
