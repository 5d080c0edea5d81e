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

from resnext_det.inert_pickle.vocabulary import Name, Refused, Vocabulary, shown, shown_sizes

_NUMBERS = re.compile(r"[biufc](1|2|4|8|16)")


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
_LATIN = ("latin1", "latin-1")
_KNOWN = {name.text: name for name in _NAMES}


class ArraysVocabulary(Vocabulary):
    """Knows arrays of numbers, their data types and their scalars, and Python 3's bytes."""

    leaves = (np.ndarray,)

    def name(self, module: Any, name: Any, opcode: str) -> Any:
        """Answers GLOBAL and STACK_GLOBAL."""
        if type(module) is str and type(name) is str:
            text = f"{module}.{name}".replace("numpy._core.", "numpy.core.")  # NumPy 2's name
            if text in _KNOWN:
                return _KNOWN[text]
        return super().name(module, name, opcode)

    def call(self, function: Any, arguments: Any) -> Any:
        """Answers REDUCE."""
        if isinstance(function, Name) and type(arguments) is tuple:
            if function is _RECONSTRUCT and len(arguments) == 3 and arguments[0] is _NDARRAY:
                return PendingArray()
            if function is _DTYPE and len(arguments) in (1, 3):
                return PendingType(_number_type(arguments[0]))
            if function is _SCALAR and len(arguments) == 2:
                return self.array((1,), arguments[0], arguments[1], fortran=False)[0].item()
            if function is _ENCODE and len(arguments) == 2 and arguments[1] in _LATIN:
                return self.encode(arguments[0])
            if function is _BYTES and not arguments:
                return b""
        return super().call(function, arguments)

    def build(self, target: Any, state: Any) -> Any:
        """Answers BUILD: an array gets its content, a data type its byte order."""
        if isinstance(target, PendingType):
            _set_order(target, state)
            return target
        if not isinstance(target, PendingArray):
            return super().build(target, state)
        if type(state) is not tuple or len(state) != 5:
            raise Refused("damaged: BUILD of an array without its five parts")
        _, shape, kind, fortran, data = state
        return self.array(shape, kind, data, fortran=bool(fortran))

    def encode(self, text: Any) -> bytes:
        """Returns the bytes that protocols below 3 write as text."""
        if type(text) is bytes:
            return text
        if type(text) is not str:
            raise Refused(f"not plain data: bytes of {shown(text)} are refused")
        self.budget.copy(len(text))
        return text.encode("latin-1")

    def array(self, shape: Any, kind: Any, data: Any, *, fortran: bool) -> np.ndarray:
        """Returns an array of numbers; the bytes must fill it."""
        data = self.encode(data) if self.text_strings and type(data) is str else data
        if not isinstance(kind, PendingType) or type(data) is not bytes or type(shape) is not tuple:
            raise Refused("not plain data: an array of something other than numbers is refused")
        # NumPy has no more than 64 axes, and products of huge numbers take ages.
        if len(shape) > 64 or not all(type(size) is int and 0 <= size < 1 << 62 for size in shape):
            raise Refused(f"damaged: an array of shape {shown_sizes(shape)}")
        dtype = kind.resolve()
        if math.prod(shape) * dtype.itemsize != len(data):
            raise Refused(
                f"damaged: {len(data):,} bytes for an array of shape {shown_sizes(shape)}"
            )
        self.budget.copy(len(data))
        flat = np.frombuffer(data, dtype)
        return flat.reshape(shape, order="F" if fortran else "C").copy()


def _set_order(kind: PendingType, state: Any) -> None:
    """Sets the byte order of a data type from its state.

    That is a version, the order, None three times, and sizes

    Raises:
        Refused: it is a type of records.
    """
    order = _text(state[1]) if type(state) is tuple and len(state) >= 5 else ""
    if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
        raise Refused("not plain data: BUILD of a data type of records is refused")
    kind.order = order


def _number_type(code: Any) -> str:
    text = _text(code)
    if not _NUMBERS.fullmatch(text):
        raise Refused(f"not plain data: an array of '{text[:40]}' is refused")
    return text


def _text(value: Any) -> str:
    return value.decode("latin-1") if type(value) is bytes else value if type(value) is str else ""
