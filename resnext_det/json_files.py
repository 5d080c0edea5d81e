"""JSON files, read with one line for each thing that can be wrong. Engine-neutral; lowest layer."""

import json
import os
import stat
from pathlib import Path
from typing import Any

from resnext_det.available_memory import available_memory
from resnext_det.errors import UserError

BYTES_PER_BYTE = 6.5
"""Memory that a COCO file takes while it is read, per byte of it."""

_ANEW = "write or copy it anew"
_SMALL = 1 << 26  # bytes; a smaller file is read without a look at the memory


def read_json(path: Path) -> Any:
    """Reads a JSON file in any of JSON's encodings.

    Raises:
        UserError: it cannot be read, is no plain file, is not JSON, is cut off, writes a key
            twice in one object, or would not fit into the memory that is left.
    """
    data = read_plain(path)
    try:
        text = data.decode(json.detect_encoding(data), "surrogatepass")
        del data  # else it lies beside the text while that is parsed
        return json.loads(text, object_pairs_hook=_each_once)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: {_not_json(error)}") from error
    except _TwiceError as error:
        told = f"the key {error} is written twice in one object; write it once"
        raise UserError(f"{path}: {told}") from error
    except RecursionError as error:
        told = f"not a JSON text file (nested too deep); {_ANEW}"
        raise UserError(f"{path}: {told}") from error
    except ValueError as error:  # no text, or a number of thousands of digits
        told = f"not a JSON text file ({type(error).__name__}); {_ANEW}"
        raise UserError(f"{path}: {told}") from error


def read_plain(path: Path) -> bytes:
    """Reads what should be JSON, without a look at what it holds.

    Raises:
        UserError: it cannot be read, is no plain file, or would not fit into the memory that is
            left once it is parsed.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UserError(f"{path}: cannot be read (not a plain file)")
            _check_memory(path, found.st_size)
            return file.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


class _TwiceError(Exception):
    """A key that stands twice in one object; Python would keep the later value."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _TwiceError(repr(key[:60]))
            seen.add(key)
    return read


def _not_json(error: json.JSONDecodeError) -> str:
    place = f"at line {error.lineno} column {error.colno}"
    if error.msg == "Extra data":
        return (
            f"not JSON: a second value begins {place}; one with a value on each line (NDJSON) has "
            "to be written as one object"
        )
    return f"not JSON, or cut off: {error.msg} {place}; {_ANEW}"


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # else a pipe is waited on here already


def _check_memory(path: Path, size: int) -> None:
    if size < _SMALL:
        return
    left, needed = available_memory(), int(size * BYTES_PER_BYTE)
    if left is not None and needed > left:
        raise UserError(
            f"{path}: has {_gigabytes(size)}, which take about {_gigabytes(needed)} of memory to "
            f"read, but {_gigabytes(left)} are available; split it, or use a machine with more"
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
