"""Where each image's picture goes: inside the folder, nowhere twice. Engine-neutral."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resnext_det.inference.inputs import Source

_LONGEST = 150
"""Bytes of a part of a name: file systems take 255, and a file has more of them while written."""
_ODD = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*]')
"""What some file systems do not take in a name."""


def with_places(sources: "Sequence[Source]") -> "tuple[Source, ...]":
    """Gives each source a place of its own, told apart where names differ in endings or case only.

    A place is relative, and has no `..` in it, whatever the name was.
    """
    taken: set[str] = set()
    placed = []
    for source in sources:
        place = _free(_safe(source.name), taken)
        taken.add(place.casefold())
        placed.append(replace(source, place=place))
    return tuple(placed)


def _safe(name: str) -> str:
    parts = PurePosixPath(os.path.splitext(name)[0]).parts
    kept = [_safe_part(part) for part in parts if part not in ("/", "//", "..", ".")]
    return "/".join(kept) or "image"


def _safe_part(part: str) -> str:
    plain = _ODD.sub("_", part.encode(errors="replace")[:_LONGEST].decode(errors="ignore"))
    # A leading dot hides, a trailing one and blanks are lost on Windows.
    return plain.strip(". ") or "_"


def _free(place: str, taken: set[str]) -> str:
    found, number = place, 1
    while found.casefold() in taken:
        number += 1
        found = f"{place}_{number}"
    return found
