"""Ids of images and categories from a COCO annotation file. Engine-neutral."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError, few, one_line
from resnext_det.inference.inputs import Source
from resnext_det.json_files import read_json

ImageId = int | str


@dataclass(frozen=True)
class Ids:
    """What results call images and classes.

    Attributes:
        of_images: by path; empty where images are numbered by their place, from 1.
        of_classes: of each class.
        class_names: of each class.
    """

    of_images: Mapping[str, ImageId]
    of_classes: tuple[int, ...]
    class_names: tuple[str, ...]


def ids_by_place(class_names: Sequence[str]) -> Ids:
    """Returns ids for images that no annotation file names: 1, 2, … for both."""
    return Ids({}, tuple(range(1, len(class_names) + 1)), tuple(class_names))


def ids_of_annotations(path: Path, sources: Sequence[Source], class_names: Sequence[str]) -> Ids:
    """Finds the images and the classes in an annotation file, by their names.

    Args:
        path: COCO JSON; of it, file_name and id of `images`, and name and id of `categories`.
        sources: images; an image's name, its path or its file name alone has to be there.
        class_names: of the detector.

    Raises:
        UserError: the file cannot be read, or an image or a class is not in it.
    """
    content = read_json(path)
    categories = _by_name(content, "categories", "name", path)
    lacking = [name for name in class_names if name not in categories]
    if lacking:
        raise UserError(f"{path}: has no category {few(lacking)}, which the detector finds")
    images = _by_name(content, "images", "file_name", path)
    short = Counter(os.path.basename(name) for name in images)
    once = {
        os.path.basename(name): found
        for name, found in images.items()
        if short[os.path.basename(name)] == 1
    }
    found = {source.path: _id_of(source, images, once) for source in sources}
    unknown = [source.name for source in sources if found[source.path] is None]
    if unknown:
        raise UserError(
            f"{path}: has no image {one_line(few(unknown))} ({len(unknown)} of {len(sources)}): "
            "leave --annotations out to number the images by their place"
        )
    of_images = {name: found for name, found in found.items() if found is not None}
    return Ids(of_images, tuple(int(categories[name]) for name in class_names), tuple(class_names))


def _id_of(
    source: Source, images: Mapping[str, ImageId], once: Mapping[str, ImageId]
) -> ImageId | None:
    if source.is_video:
        return None
    for name in (source.name, source.path):
        if name in images:
            return images[name]
    return once.get(os.path.basename(source.path))


def _by_name(content: Any, entry: str, name: str, path: Path) -> dict[str, Any]:
    rows = content.get(entry) if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise UserError(f"{path}: holds no list of {entry}: give COCO annotations")
    kinds = int if entry == "categories" else (int, str)
    found: dict[str, Any] = {}
    for row in rows:
        named, number = (row.get(name), row.get("id")) if isinstance(row, dict) else (None, None)
        if not isinstance(named, str) or not isinstance(number, kinds):
            raise UserError(f"{path}: one of its {entry} has no {name} or no id")
        found[named] = number
    return found
