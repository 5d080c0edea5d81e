"""Safetensors files, their header checked before the library reads them. Engine-neutral.

Eight bytes say how long the header is (little-endian), then it stands there as JSON: name ->
{dtype, shape, data_offsets}, and `__metadata__`; then the numbers, without gaps.
"""

import json
import math
from pathlib import Path
from typing import Any, TypeGuard

from safetensors import SafetensorError, safe_open

from resnext_det.errors import UserError, one_line
from resnext_det.weights.content import FileContent
from resnext_det.weights.readers.state_dicts import check_numbers
from resnext_det.weights.readers.wrappers import plain_name, without_attribute

_LARGEST_HEADER = 16 << 20  # 100,000 tensors; the library would take 100 MB
_METADATA = "__metadata__"


def looks_like_safetensors(first_bytes: bytes) -> bool:
    """Tells whether a file begins with a length and a JSON object."""
    return first_bytes[8:9] == b"{"


def read_safetensors(path: Path, source: str) -> FileContent:
    """Reads a safetensors file; its header's entries are the extras, strings all of them.

    Args:
        path: the file.
        source: the path or address that the user gave, for messages.

    Raises:
        UserError: it is torn, or none.
    """
    _check_header(path, source)
    try:
        with safe_open(path, framework="pt") as file:
            extras = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise UserError(_torn(source, str(error) or type(error).__name__)) from error
    check_numbers(tensors, source)
    plain = {plain_name(name): value for name, value in tensors.items()}
    if len(plain) < len(tensors):
        raise UserError(_torn(source, "a name comes twice, with a wrapper's prefix and without"))
    return FileContent("safetensors", without_attribute(plain), extras)


def _check_header(path: Path, source: str) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            raise UserError(_torn(source, f"its header claims {length:,} bytes of {size:,}"))
        if length > _LARGEST_HEADER:
            raise UserError(_torn(source, f"a header of {length:,} bytes"))
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise UserError(_torn(source, f"its header is no JSON: {error}")) from error
    if not isinstance(header, dict):
        raise UserError(_torn(source, "its header is no JSON object"))
    spans = sorted(
        _span(name, entry, size - 8 - length, source)
        for name, entry in header.items()
        if name != _METADATA
    )
    end = 0
    for start, stop, name in spans:
        if start < end:
            raise UserError(_torn(source, f"{name} overlaps another tensor"))
        end = stop


def _span(name: str, entry: Any, most: int, source: str) -> tuple[int, int, str]:
    """A tensor's first byte, the byte behind it, and its name."""
    fields = entry if isinstance(entry, dict) else {}
    shape, offsets = fields.get("shape"), fields.get("data_offsets")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2 or len(shape) > 64:
        raise UserError(_torn(source, f"{name} has no shape and data_offsets"))
    start, stop = offsets
    if not start <= stop <= most:
        raise UserError(_torn(source, f"{name} claims bytes {start:,} to {stop:,} of {most:,}"))
    if math.prod(shape) > 8 * most:  # the library checks to the byte, type by type
        raise UserError(_torn(source, f"{name} claims {'x'.join(map(str, shape))} numbers"))
    return start, stop, name


def _counts(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item < 1 << 62 for item in value
    )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a name comes twice")
    return result


def _torn(source: str, reason: str) -> str:
    why = " ".join(reason.split())[:160]
    return one_line(f"{source}: is damaged, or no safetensors file ({why}); fetch or copy it again")
