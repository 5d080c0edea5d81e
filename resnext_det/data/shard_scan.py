"""The images and labels in a WebDataset shard, found by its headers. Engine-neutral.

WebDataset's convention: members with the same path up to the first dot of their file name, one
after the other, are one sample. The image's member ends in an image suffix; the class number is
the text of `.cls`, or "label" or "cls" in `.json`. Other members are left alone.
"""

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torchvision.datasets.folder import IMG_EXTENSIONS

from resnext_det.data.plain_files import LARGEST_IMAGE
from resnext_det.data.sample_table import SampleTable, make_table
from resnext_det.data.tar_members import TarMember, tar_members
from resnext_det.errors import UserError

MOST_CLASSES = 1_000_000
_LARGEST_LABEL = {"cls": 64, "json": 1 << 20}  # bytes


def scan_shard(path: Path) -> SampleTable:
    """Finds the images of a shard; reads its headers and labels.

    Raises:
        UserError: see `tar_members`; a sample without a label or with two images, a key that
            comes twice, a label that is no class number; no image at all.
    """
    names: list[str] = []
    offsets: list[int] = []
    lengths: list[int] = []
    labels: list[int] = []
    with _opened(path) as file:
        for key, members in _samples(path):
            image = _image_of(f"{path}: {key}", members)
            if image is None:
                continue
            labels.append(_label_of(f"{path}: {key}", members, file.fileno()))
            names.append(image.name)
            offsets.append(image.offset)
            lengths.append(image.size)
    if not names:
        raise UserError(f"{path}: no image in this shard ({', '.join(IMG_EXTENSIONS)})")
    return make_table(names, offsets, lengths, labels)


def _opened(path: Path) -> Any:
    if path.exists() and not path.is_file():  # a pipe would be waited on for ever
        raise UserError(f"{path}: cannot be read (not a plain file)")
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _samples(path: Path) -> Iterator[tuple[str, Mapping[str, TarMember]]]:
    """Yields each sample's key, and its members by what follows the key, in small letters."""
    seen: set[str] = set()
    named = ((*_split(member.name), member) for member in tar_members(path))
    for key, group in itertools.groupby((n for n in named if n[1]), key=lambda n: n[0]):
        if key in seen:
            raise UserError(f"{path}: key {key!r} comes twice, with other samples between")
        seen.add(key)
        members: dict[str, TarMember] = {}
        for _, ending, member in group:
            if members.setdefault(ending.lower(), member) is not member:
                raise UserError(f"{path}: key {key!r} comes twice, with {ending!r} in both")
        yield key, members


def _split(name: str) -> tuple[str, str]:
    """Splits a member's path at the first dot of its file name; hidden files have no ending."""
    folder, slash, file_name = name.rpartition("/")
    stem, _, ending = file_name.partition(".")
    return folder + slash + stem, ending if stem else ""


def _image_of(shown: str, members: Mapping[str, TarMember]) -> TarMember | None:
    found = [members[ending] for ending in members if f".{ending}" in IMG_EXTENSIONS]
    if len(found) > 1:
        raise UserError(f"{shown}: has {len(found)} images; a sample has one")
    if found and found[0].size > LARGEST_IMAGE:
        raise UserError(
            f"{shown}: the image has {found[0].size} bytes, more than {LARGEST_IMAGE >> 20} MiB"
        )
    return found[0] if found else None


def _label_of(shown: str, members: Mapping[str, TarMember], descriptor: int) -> int:
    for ending, most in _LARGEST_LABEL.items():
        member = members.get(ending)
        if member is None:
            continue
        if member.size > most:
            raise UserError(f"{shown}.{ending}: {member.size} bytes, too long for a label")
        said = _read_label(ending, os.pread(descriptor, member.size, member.offset))
        if said is not None:
            return _class_number(f"{shown}.{ending}", said)
    raise UserError(f"{shown}: no label; a sample needs .cls, or .json with 'label' or 'cls'")


def _read_label(ending: str, data: bytes) -> Any:
    """Returns what a member says of the class; None where a `.json` says nothing of it."""
    text = data.decode(errors="replace").strip()
    if ending == "cls":
        return text
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(content, dict):
        return text
    return next((content[key] for key in ("label", "cls") if content.get(key) is not None), None)


def _class_number(shown: str, said: Any) -> int:
    number = said if isinstance(said, int) and not isinstance(said, bool) else -1
    if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) < 20:
        number = int(said)
    if not 0 <= number < MOST_CLASSES:
        raise UserError(
            f"{shown}: label {str(said)[:40]!r} is no class number, 0 … {MOST_CLASSES - 1}"
        )
    return number
