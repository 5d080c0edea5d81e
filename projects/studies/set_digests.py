"""A data set's fingerprint: annotations, and the pictures' names and sizes. Engine-neutral.

Pictures are not read: ImageNet is looked through in seconds.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.shard_pattern import is_pattern
from resnext_det.file_digests import sha256_of
from resnext_det.json_files import read_json


def is_there(entry: DatasetEntry) -> bool:
    """Tells whether a set's annotation file and folder are there; of a server nobody asks."""
    if entry.address:
        return True
    if entry.json_file:
        return entry.json_file.is_file() and entry.image_root.is_dir()
    return _folder(entry).is_dir()


def set_digest(entry: DatasetEntry) -> tuple[str, int]:
    """Takes the fingerprint of a set that is there.

    Returns:
        SHA-256 in hexadecimal, and the number of pictures or, of shards, of files.

    Raises:
        UserError: the annotation file is no JSON, or cannot be read.
    """
    digest = hashlib.sha256()
    if entry.json_file:
        parts = [entry.json_file, *([entry.panoptic.json_file] if entry.panoptic else [])]
        digest.update("".join(sha256_of(part) for part in parts if part.is_file()).encode())
    pictures = _pictures(entry)
    for name, size in pictures:
        digest.update(f"\n{name}\0{size}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest(), len(pictures)


def _pictures(entry: DatasetEntry) -> list[tuple[str, int]]:
    """Returns names and sizes in bytes, in the annotation file's order or in that of paths."""
    if entry.address:
        return [(entry.address, 0)]
    if entry.json_file:
        return list(_named(entry.json_file, entry.image_root))
    return sorted(_files(_folder(entry)), key=lambda file: file[0].split("/"))


def _folder(entry: DatasetEntry) -> Path:
    """Returns the folder of a classification set, also where shards in it are named."""
    return entry.image_root.parent if is_pattern(entry) else entry.image_root


def _named(json_file: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """Yields the images that an annotation file names, and their sizes in bytes, -1 if missing."""
    content = read_json(json_file)
    images = content.get("images") if isinstance(content, dict) else None
    for image in images if isinstance(images, list) else []:  # the run says what is wrong with it
        name = str(image.get("file_name", "")) if isinstance(image, dict) else ""
        try:
            yield name, os.stat(folder / name).st_size
        except (OSError, ValueError):
            yield name, -1


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Yields every file below a folder and its size in bytes; class folders may be links."""
    waiting = [(folder, "", True)]
    while waiting:
        place, before, is_top = waiting.pop()
        with os.scandir(place) as found:
            for item in found:
                if item.is_dir(follow_symlinks=is_top):
                    waiting.append((place / item.name, f"{before}{item.name}/", False))
                elif item.is_file():
                    yield before + item.name, item.stat().st_size
