"""Torch7's .t7 files, in plain Python: no Lua, and nothing of them is executed. Engine-neutral.

Binary files say neither their byte order nor their size of long; the first int gives the one away,
and the right size is the one by which the file is one whole object, from first byte to last.
"""

import re
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError
from resnext_det.weights.content import FileContent
from resnext_det.weights.readers.torch7_parser import Torch7Parser
from resnext_det.weights.readers.torch7_stream import (
    AsciiStream,
    BinaryStream,
    Torch7Error,
    Torch7Stream,
)
from resnext_det.weights.readers.torch7_tree import find_network, name_tensors

# The kind of the first object, a table, Torch object or function, and its index, which is 1. A file
# that holds a plain number or text alone is not told: other formats begin so, too.
_LITTLE = re.compile(rb"[\x03\x04\x07\x08]\x00\x00\x00\x01\x00\x00\x00")
_BIG = re.compile(rb"\x00\x00\x00[\x03\x04\x07\x08]\x00\x00\x00\x01")
_ASCII = re.compile(rb"[3478]\n1\n")


def looks_like_torch7(first_bytes: bytes) -> bool:
    """Tells a .t7 file by its first 8 bytes; the parser has the last word."""
    return any(form.match(first_bytes) for form in (_LITTLE, _BIG, _ASCII))


def read_torch7(path: Path, source: str) -> FileContent:
    """Reads the network in a .t7 file: a bare one, or the entry `model` of a checkpoint.

    Args:
        path: the file.
        source: the path or address that the user gave, for messages.

    Returns:
        The tensors by their path from the network's outermost module, in the file's own types;
        extras hold that module as `tree`, a TorchObject, for the naming. What is outside the
        network, such as an optimiser's state, is dropped.

    Raises:
        UserError: it is torn, of another form, or holds no network.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            root, ignored = _read_object(file, size)
        network = find_network(root)
        tensors = name_tensors(network, size)
    except Torch7Error as error:
        raise UserError(f"{source}: {error}") from error
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror})") from error
    return FileContent("torch7", tensors, {"tree": network}, tuple(sorted(ignored)))


def _read_object(file: BufferedReader, size: int) -> tuple[Any, set[str]]:
    """Reads the file's one object by the first form that fits it to its last byte."""
    furthest: tuple[int, Torch7Error] | None = None
    for stream in _streams(file, size):
        parser = Torch7Parser(stream)
        try:
            root = parser.parse()
            if stream.left:
                raise Torch7Error(f"{stream.left} bytes are left behind its object")
            return root, parser.ignored
        except Torch7Error as error:
            # The right size of long goes further than the wrong one, so its message is the one.
            if furthest is None or stream.position > furthest[0]:
                furthest = stream.position, error
    if furthest is None:
        raise Torch7Error("no Torch7 file")
    raise Torch7Error(f"torn, or no Torch7 file ({furthest[1]})") from furthest[1]


def _streams(file: BufferedReader, size: int) -> Iterator[Torch7Stream]:
    """The forms that a file may have, each from its start."""
    first = file.read(8)
    if _ASCII.match(first):
        file.seek(0)
        yield AsciiStream(file, size)
    for form, order in ((_LITTLE, "<"), (_BIG, ">")):
        if form.match(first):
            for long_size in (8, 4):
                file.seek(0)
                yield BinaryStream(file, size, order, long_size)
