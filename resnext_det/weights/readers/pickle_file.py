"""Plain pickles of arrays: Detectron's and Detectron2's .pkl. Engine-neutral.

Detectron writes {"blobs": {name: array}, "cfg": YAML} in Python 2 (its strings are latin-1);
Detectron2's zoo has {"model": {name: array}, "__author__": …, "matching_heuristics": True}, or
arrays alone.
"""

from collections.abc import Mapping
from pathlib import Path

from resnext_det.errors import UserError
from resnext_det.inert_pickle.machine import read_inert_pickle
from resnext_det.inert_pickle.vocabulary import Budget
from resnext_det.inert_pickle.weights import WeightsVocabulary
from resnext_det.weights.content import FileContent
from resnext_det.weights.readers.state_dicts import content_of


def looks_like_pickle(first_bytes: bytes) -> bool:
    """Tells whether a file begins as a pickle of a dictionary does, in any protocol."""
    if first_bytes[:1] == b"\x80":
        return first_bytes[1:2] <= b"\x05"
    return first_bytes[:1] in (b"(", b"}", b"c", b"]")


def read_pickle(path: Path, source: str) -> FileContent:
    """Reads a .pkl file onto the CPU.

    Args:
        path: the file.
        source: the path or address that the user gave, for messages.

    Raises:
        UserError: it is torn, or holds more than data; the message names it.
    """
    data = path.read_bytes()
    vocabulary = WeightsVocabulary(Budget(len(data)), outside=False)
    content = read_inert_pickle(data, source, vocabulary)
    if not isinstance(content, Mapping):
        raise UserError(f"{source}: holds a {type(content).__name__}, no state dict")
    return content_of(content, "pickle", source, tuple(sorted(vocabulary.ignored)))
