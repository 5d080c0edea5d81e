"""Numbers, bytes and arrays as Torch7's DiskFile writes them. Engine-neutral.

A file is binary or ascii, and a binary one has a byte order and a size of long: 8 bytes where it
was written under 64-bit Linux or macOS, 4 under 32-bit systems, Windows, or by `longSize(4)`.
Nothing is allocated before the file is seen to have as many bytes left.

Source: torch/torch7, lib/TH/THDiskFile.c.
"""

import re
import struct
import warnings
from abc import ABC, abstractmethod
from io import BufferedReader

import numpy as np
import torch
from torch import Tensor

# Element type -> NumPy's code; a long has the file's own size. Plain CudaTensors hold floats.
ELEMENTS = {
    "Byte": "u1",
    "Char": "i1",
    "Short": "i2",
    "Int": "i4",
    "Long": "long",
    "Half": "f2",
    "Float": "f4",
    "Double": "f8",
}
_MAX_LINE = 64  # bytes of one number in ascii: %.17g needs 24
_INTEGER = re.compile(rb"[-+]?\d{1,19}")
_REAL = re.compile(rb"[-+]?(?:nan|inf|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,4})?)", re.IGNORECASE)


class Torch7Error(ValueError):
    """The bytes do not follow the format; the message says where and how, in one line."""


class Torch7Stream(ABC):
    """Reads a file from its start to its end, once.

    Attributes:
        size: of the file, in bytes.
        left: bytes not yet read.
    """

    def __init__(self, file: BufferedReader, size: int) -> None:
        self._file = file
        self.size = size
        self.left = size

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self.size - self.left

    @abstractmethod
    def read_int(self) -> int:
        """Reads a C int."""

    @abstractmethod
    def read_longs(self, count: int) -> list[int]:
        """Reads C longs."""

    @abstractmethod
    def read_double(self) -> float:
        """Reads a C double."""

    @abstractmethod
    def read_chars(self, count: int) -> bytes:
        """Reads bytes."""

    @abstractmethod
    def read_array(self, element: str, count: int) -> Tensor:
        """Reads (count,) numbers of a type in `ELEMENTS`; longs become int64."""

    def _require(self, count: int) -> None:
        """Refuses to read, or to allocate, more bytes than are left."""
        if count < 0:
            raise Torch7Error(f"a size of {count} at byte {self.position}")
        if count > self.left:
            raise Torch7Error(
                f"{count} bytes are announced at byte {self.position}, {self.left} are left"
            )

    def _take(self, count: int) -> bytes:
        self._require(count)
        self.left -= count
        return self._whole(self._file.read(count), count)

    def _whole(self, data: bytes, count: int) -> bytes:
        if len(data) < count:  # it got shorter while it was read
            raise Torch7Error(f"ends before byte {self.position}")
        return data


class BinaryStream(Torch7Stream):
    """The form that `torch.save` writes by default."""

    def __init__(self, file: BufferedReader, size: int, order: str, long_size: int) -> None:
        """Starts at the file's position.

        Args:
            file: at its start.
            size: of the file, in bytes.
            order: "<" or ">", as for `struct`.
            long_size: 4 or 8 bytes.
        """
        super().__init__(file, size)
        self._order = order
        self._long = "i4" if long_size == 4 else "i8"
        self._int_form = struct.Struct(f"{order}i")
        self._double_form = struct.Struct(f"{order}d")

    def read_int(self) -> int:
        """Reads a C int, 4 bytes."""
        return self._int_form.unpack(self._take(4))[0]

    def read_longs(self, count: int) -> list[int]:
        """Reads C longs of the file's size."""
        code = "i" if self._long == "i4" else "q"
        self._require(count)
        data = self._take(count * int(self._long[1]))
        return list(struct.unpack(f"{self._order}{count}{code}", data))

    def read_double(self) -> float:
        """Reads a C double, 8 bytes."""
        return self._double_form.unpack(self._take(8))[0]

    def read_chars(self, count: int) -> bytes:
        """Reads bytes."""
        return self._take(count)

    def read_array(self, element: str, count: int) -> Tensor:
        """Reads (count,) numbers, without a second copy where the byte order is this machine's."""
        code = ELEMENTS[element]
        stored = np.dtype(self._order + (self._long if code == "long" else code))
        native = np.dtype("i8" if code == "long" else code)
        self._require(count)
        self._require(count * stored.itemsize)
        data = bytearray(count * stored.itemsize)  # writable, as torch wants its memory
        self.left -= len(data)
        if self._file.readinto(data) != len(data):
            raise Torch7Error(f"ends before byte {self.position}")
        if not count:
            return empty_array(element)
        return torch.from_numpy(np.frombuffer(data, stored).astype(native, copy=False))


class AsciiStream(Torch7Stream):
    """The form that `torch.save(…, 'ascii')` writes: one line for each number or array."""

    def read_int(self) -> int:
        """Reads a line that holds one integer."""
        return self._integer(self._line(_MAX_LINE))

    def read_longs(self, count: int) -> list[int]:
        """Reads a line of integers; no line for none."""
        self._require(2 * count - 1 if count else 0)
        if not count:
            return []
        texts = self._line(count * 21).split(b" ")
        if len(texts) != count:
            raise Torch7Error(f"{len(texts)} numbers, not {count}, before byte {self.position}")
        return [self._integer(text) for text in texts]

    def read_double(self) -> float:
        """Reads a line that holds one number."""
        line = self._line(_MAX_LINE)
        if not _REAL.fullmatch(line):
            raise Torch7Error(f"{_shown(line)} is no number, before byte {self.position}")
        return float(line)

    def read_chars(self, count: int) -> bytes:
        """Reads bytes and the line's end behind them; no line for none."""
        data = self._take(count)
        if count and self._take(1) != b"\n":
            raise Torch7Error(f"no end of line at byte {self.position - 1}")
        return data

    def read_array(self, element: str, count: int) -> Tensor:
        """Reads a line of (count,) numbers; bytes and chars stand there as they are."""
        code = ELEMENTS[element]
        if code in ("u1", "i1") and count:
            return torch.from_numpy(np.frombuffer(self.read_chars(count), code).copy())
        if not count:
            return empty_array(element)
        self._require(2 * count - 1)
        line = self._line(self.left)
        numbers = _parse_numbers(line, float if code.startswith("f") else np.int64)
        if numbers is None or numbers.size != count or line.count(b" ") != count - 1:
            raise Torch7Error(f"no line of {count} numbers before byte {self.position}")
        return torch.from_numpy(numbers.astype("i8" if code == "long" else code))

    def _line(self, limit: int) -> bytes:
        line = self._file.readline(limit + 1)
        self.left -= len(line)
        if not line.endswith(b"\n"):  # without its end, the last number may lack digits
            raise Torch7Error(f"no end of line by byte {self.position}")
        return line.removesuffix(b"\n")

    def _integer(self, text: bytes) -> int:
        if not _INTEGER.fullmatch(text):
            raise Torch7Error(f"{_shown(text)} is no integer, before byte {self.position}")
        return int(text)


def empty_array(element: str) -> Tensor:
    """Returns (0,) numbers of a type in `ELEMENTS`, with a stride of 1 as torch's own have."""
    code = ELEMENTS[element]
    return torch.from_numpy(np.zeros(1, "i8" if code == "long" else code))[:0]


def _parse_numbers(line: bytes, kind: type) -> np.ndarray | None:
    """Parses numbers parted by blanks; None where something else stands among them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns where it could not read to the end
            return np.fromstring(line.decode("ascii"), kind, sep=" ")
    except (ValueError, OverflowError, DeprecationWarning):  # UnicodeDecodeError is a ValueError
        return None


def _shown(text: bytes) -> str:
    return ascii(text[:20].decode("latin-1"))
