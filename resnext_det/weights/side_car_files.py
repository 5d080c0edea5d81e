"""Side-cars on disk: in a safetensors file's header, or as JSON beside another. Engine-neutral.

The JSON has the fields of `SideCar` by their names, those that are known, and `version`.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from resnext_det.content_digests import numbers_of
from resnext_det.errors import UserError, one_line
from resnext_det.weights.side_car import SideCar, path_beside
from resnext_det.weights.side_car_values import checked_value
from resnext_det.whole_files import write_text_safe

ENTRY = "resnext_det"  # of a safetensors header
VERSION = 1  # of the JSON; a change that an older reader would misread makes it 2

_MAX_BYTES = 16 << 20  # of a file; 22,000 class names take one


def to_json(side_car: SideCar) -> str:
    """Returns what is known as JSON, indented; `from_json` gives the side-car back."""
    known = {key: value for key, value in asdict(side_car).items() if value not in ("", None, ())}
    known = {key: value for key, value in known.items() if value != {}}
    return json.dumps({"version": VERSION, **known}, indent=1, allow_nan=False) + "\n"


def from_json(text: str, source: str) -> SideCar:
    """Reads a side-car and checks the type, size and range of each entry.

    Args:
        text: JSON, from anywhere.
        source: the file that it was found in, for messages.

    Raises:
        UserError: it is no JSON object, of a newer version, or an entry is not what it should be.
    """
    tree = _parse(text, source)
    version = tree.pop("version", None)
    if type(version) is not int or version < 1:
        raise UserError(f"{source}: its side-car has no version ({_short(version)}): remove it")
    if version > VERSION:
        raise UserError(
            f"{source}: its side-car has version {version}, newer than {VERSION}, the newest that "
            "is known here: update resnext-det"
        )
    known = {field.name for field in fields(SideCar)}
    if foreign := [key for key in tree if key not in known]:
        logging.getLogger(__name__).warning(
            "%s: its side-car has entries that are not known here, which are left out: %s",
            source,
            ", ".join(map(_short, foreign[:5])),
        )
    values = {}
    for key in tree.keys() & known:
        try:
            values[key] = checked_value(key, tree[key])
        except ValueError as error:
            raise UserError(
                f"{source}: {key} of its side-car is {_short(tree[key])}, but has to be {error}: "
                "mend it or remove it"
            ) from None
    return SideCar(**values)


def header_entries(side_car: SideCar) -> dict[str, str]:
    """Returns what a safetensors file's header takes as metadata."""
    return {ENTRY: to_json(side_car)}


def read_header(extras: Mapping[str, Any], source: str) -> SideCar | None:
    """Reads the side-car among the entries of a safetensors file's header; None without one.

    Raises:
        UserError: it is damaged.
    """
    text = extras.get(ENTRY)
    return from_json(text, source) if isinstance(text, str) else None


def write_beside(path: Path, side_car: SideCar) -> Path:
    """Writes `FILE.pth.json` beside a file of weights, whole or not at all, and returns its path.

    Raises:
        UserError: it cannot be written.
    """
    beside = path_beside(path)
    write_text_safe(beside, to_json(side_car))
    return beside


def read_beside(path: Path) -> SideCar | None:
    """Reads the side-car beside a file of weights; None without one.

    Raises:
        UserError: it is damaged, or cannot be read.
    """
    beside = path_beside(path)
    if not beside.is_file():
        return None
    try:
        if beside.stat().st_size > _MAX_BYTES:
            raise UserError(f"{beside}: of more than {_MAX_BYTES} bytes, no side-car: remove it")
        text = beside.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{beside}: cannot be read ({error}): mend it or remove it") from error
    return from_json(text, str(beside))


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Returns the SHA-256 sum of tensors, the same in whatever file and order they stand.

    For each name, sorted: the JSON of [name, dtype, shape] and a line feed, then the numbers,
    contiguous and little-endian.

    Args:
        tensors: name in the file -> tensor of any shape and dtype.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        head = [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        digest.update(json.dumps(head, separators=(",", ":")).encode() + b"\n")
        digest.update(numbers_of(tensor))
    return digest.hexdigest()


def with_digest(side_car: SideCar, tensors: Mapping[str, Tensor]) -> SideCar:
    """Returns the side-car as that of these tensors, named as the file to be written has them."""
    return replace(side_car, sha256=digest_of(tensors))


def check_digest(side_car: SideCar, tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuses a side-car of other tensors; one without a digest passes.

    Args:
        side_car: as read from the file or beside it.
        tensors: name in the file -> tensor.
        source: of the file, for the message.

    Raises:
        UserError: the digests differ; both are named.
    """
    if not side_car.sha256:
        return
    found = digest_of(tensors)
    if found != side_car.sha256:
        raise UserError(
            f"{source}: its side-car is of other weights (sha256 {side_car.sha256}) than the file "
            f"holds ({found}): take the file again with its own side-car, or remove the side-car"
        )


def _parse(text: str, source: str) -> dict[str, Any]:
    if len(text) > _MAX_BYTES:
        raise UserError(f"{source}: its side-car is longer than {_MAX_BYTES} characters: remove it")
    try:
        tree = json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = one_line(str(error))[:120]
        raise UserError(f"{source}: its side-car is damaged ({reason}): remove it") from error
    if not isinstance(tree, dict):
        raise UserError(f"{source}: its side-car is a {type(tree).__name__}, no object: remove it")
    return tree


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        raise ValueError("an entry comes twice")
    return tree


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _short(value: object) -> str:
    text = one_line(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."
