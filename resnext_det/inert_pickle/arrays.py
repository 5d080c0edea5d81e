"""The few functions that pickles of arrays name, done here instead of called. Engine-neutral.

NumPy writes an array as `_reconstruct(ndarray, (0,), b"b")` and then its state, and a data type
as `dtype("u1", False, True)` and then its state (numpy.ndarray.__reduce__, numpy.dtype.__reduce__).
Python 3 writes bytes in protocols below 3 as `_codecs.encode(text, "latin1")`, or `bytes()`.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_NUMBERS = re.compile(r"[biufc](1|2|4|8|16)")


class Refused(Exception):
    """What a file asks for and does not get."""


@dataclass(frozen=True)
class Name:
    """A known name, on the stack in place of what it means."""

    text: str


@dataclass(eq=False)
class PendingArray:
    """An array whose content follows.

    Attributes:
        memo: the numbers under which the memo has it.
    """

    memo: list[int] = field(default_factory=list)


@dataclass(eq=False)
class PendingType:
    """A data type, whose byte order may follow."""

    code: str
    order: str = "="

    def resolve(self) -> np.dtype:
        """Returns the data type."""
        return np.dtype(self.code).newbyteorder(self.order)  # type: ignore[arg-type]


_RECONSTRUCT = Name("numpy.core.multiarray._reconstruct")
_SCALAR = Name("numpy.core.multiarray.scalar")
_NDARRAY = Name("numpy.ndarray")
_DTYPE = Name("numpy.dtype")
_ENCODE = Name("_codecs.encode")
_BYTES = Name("__builtin__.bytes")
_NAMES = (_RECONSTRUCT, _SCALAR, _NDARRAY, _DTYPE, _ENCODE, _BYTES)
_KNOWN = {name.text: name for name in _NAMES}


def known_name(module: Any, name: Any, opcode: str) -> Name:
    """Returns what stands for a name on the stack.

    Raises:
        Refused: it is not one of those that plain data need.
    """
    text = f"{module}.{name}".replace("numpy._core.", "numpy.core.")  # NumPy 2's name of it
    if type(module) is not str or type(name) is not str or text not in _KNOWN:
        raise Refused(f"not plain data: {opcode} names '{text[:80]}', which is not imported")
    return _KNOWN[text]


def call(function: Any, arguments: Any) -> Any:
    """Does what a known function would do.

    Raises:
        Refused: it is none, or wants more than plain data.
    """
    if isinstance(function, Name) and type(arguments) is tuple:
        if function is _RECONSTRUCT and len(arguments) == 3 and arguments[0] is _NDARRAY:
            return PendingArray()
        if function is _DTYPE and len(arguments) in (1, 3):
            return PendingType(_number_type(arguments[0]))
        if function is _SCALAR and len(arguments) == 2:
            return _array((1,), arguments[0], arguments[1], fortran=False)[0].item()
        if function is _ENCODE and len(arguments) == 2 and arguments[1] in ("latin1", "latin-1"):
            return str(arguments[0]).encode("latin-1")
        if function is _BYTES and not arguments:
            return b""
    raise Refused(f"not plain data: REDUCE of {shown(function)} is refused")


def build_array(state: Any) -> np.ndarray:
    """Returns the array of a state: version, shape, data type, column order or not, bytes.

    Raises:
        Refused: it is no array of numbers, or the bytes do not fill it.
    """
    if type(state) is not tuple or len(state) != 5:
        raise Refused("damaged: BUILD of an array without its five parts")
    _, shape, kind, fortran, data = state
    return _array(shape, kind, data, fortran=bool(fortran))


def set_order(kind: PendingType, state: Any) -> None:
    """Sets the byte order of a data type from its state.

    That is a version, the order, None three times, and sizes

    Raises:
        Refused: it is a type of records.
    """
    order = _text(state[1]) if type(state) is tuple and len(state) >= 5 else ""
    if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
        raise Refused("not plain data: BUILD of a data type of records is refused")
    kind.order = order


def shown(value: Any) -> str:
    """Returns what messages call a value."""
    return f"'{value.text}'" if isinstance(value, Name) else f"a {type(value).__name__}"


def _array(shape: Any, kind: Any, data: Any, *, fortran: bool) -> np.ndarray:
    if not isinstance(kind, PendingType) or type(data) is not bytes or type(shape) is not tuple:
        raise Refused("not plain data: an array of something other than numbers is refused")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise Refused(f"damaged: an array of shape {str(shape)[:80]}")
    dtype = kind.resolve()
    if math.prod(shape) * dtype.itemsize != len(data):
        raise Refused(f"damaged: {len(data):,} bytes for an array of shape {str(shape)[:80]}")
    flat = np.frombuffer(data, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy()


def _number_type(code: Any) -> str:
    text = _text(code)
    if not _NUMBERS.fullmatch(text):
        raise Refused(f"not plain data: an array of '{text[:40]}' is refused")
    return text


def _text(value: Any) -> str:
    return value.decode("latin-1") if type(value) is bytes else value if type(value) is str else ""
