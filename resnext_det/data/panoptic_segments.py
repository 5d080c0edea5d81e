"""The segments of a panoptic set that is scored: their list and pictures. Engine-neutral."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resnext_det.data.image_headers import check_header
from resnext_det.errors import UserError

_COLOURS = ("RGB", "RGBA")


def check_segments(
    path: Path, annotations: Sequence[dict[str, Any]], categories: Sequence[dict[str, Any]]
) -> None:
    """Checks what panopticapi's scorer reads of each segment.

    Args:
        path: the panoptic annotation file, for messages.
        annotations: its annotations, after the check of their layout.
        categories: its categories.

    Raises:
        UserError: a segment that is no object, or whose id, area or iscrowd is none, or whose
            category is not there.
    """
    known = {category["id"] for category in categories}
    for annotation in annotations:
        for number, segment in enumerate(annotation["segments_info"]):
            problem = _problem(segment, known)
            if problem:
                raise UserError(
                    f"{path}: segments_info[{number}] of image {annotation['image_id']}: {problem}"
                )


def check_pictures(
    folder: Path, annotations: Sequence[dict[str, Any]], images: Sequence[dict[str, Any]]
) -> None:
    """Checks, by their headers, that panoptic pictures are as their images, and in colour.

    Args:
        folder: where they lie.
        annotations: the panoptic annotations, one for each image.
        images: those of the instances file.

    Raises:
        UserError: one has another size, numbers its segments otherwise, or is no picture.
    """
    sizes = {image["id"]: (int(image["height"]), int(image["width"])) for image in images}
    for annotation in annotations:
        path = folder / annotation["file_name"]
        mode = check_header(str(path), sizes[annotation["image_id"]]).mode
        if mode not in _COLOURS:
            raise UserError(
                f"{path}: its pixels are {mode}; the number of a segment is its colour "
                "(RGB), red + 256 green + 65536 blue"
            )


def _problem(segment: Any, known: set[int]) -> str | None:
    if not isinstance(segment, dict):
        return f"{str(segment)[:40]!r} is not an object"
    if type(segment.get("id")) is not int:
        return f"id is {segment.get('id')!r}, not a whole number"
    category = segment.get("category_id")
    if type(category) is not int or category not in known:
        return f"category_id {category!r} is not in 'categories'"
    area = segment.get("area")
    if not isinstance(area, int | float) or not 0 <= area < math.inf:
        return f"area is {area!r}, not the number of its pixels"
    if segment.get("iscrowd") not in (0, 1):
        return f"iscrowd is {segment.get('iscrowd')!r}; it must be 0 or 1"
    return None
