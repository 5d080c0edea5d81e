"""Checks of the single values in a COCO annotation file, one line per mistake. Engine-neutral.

What passes here can be trained on and scored: nothing is left to be found when the
training is over.
"""

import math
from pathlib import Path, PurePath
from typing import Any

from resnext_det.errors import UserError

_LONGEST = 2**31


def check_image_values(path: Path, images: list[dict[str, Any]]) -> None:
    """Checks file names and sizes, after `check_layout`.

    Raises:
        UserError: a file name that names no file; a height or width that is not a whole
            number of pixels, at least 1.
    """
    for image in images:
        name = image["file_name"]
        if PurePath(name).name in ("", ".."):
            raise UserError(f"{path}: image {image['id']}: file_name {name!r} names no file")
        for key in ("height", "width"):
            if not _is_length(image[key]):
                raise UserError(
                    f"{path}: image {image['id']} ({name}): {key} is {image[key]!r}, not a whole "
                    "number of pixels, at least 1"
                )


def check_annotation_values(path: Path, annotations: list[dict[str, Any]]) -> None:
    """Checks `iscrowd`, `area` and `segmentation`, each of which may be absent.

    Raises:
        UserError: an `iscrowd` other than 0 and 1; an `area` that is no finite number; a
            `segmentation` that is neither polygons nor a run-length object. Detectron2 breaks
            off on the last, also for detectors that use boxes only.
    """
    for annotation in annotations:
        where = f"{path}: annotation {annotation['id']}"
        crowd = annotation.get("iscrowd", 0)
        if not isinstance(crowd, int) or crowd not in (0, 1):
            raise UserError(f"{where}: iscrowd is {crowd!r}; it must be 0 or 1")
        area = annotation.get("area", 0)
        if not _is_finite(area):
            raise UserError(
                f"{where}: area is {area!r}, not a finite number; leave the key out to have "
                "width x height of the box taken"
            )
        if not _is_outline(annotation.get("segmentation")):
            shown = str(annotation["segmentation"])
            shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
            raise UserError(
                f"{where}: segmentation is {shown}, neither a list of polygons [[x, y, …], …] "
                "nor a run-length object; mend it or leave the key out: boxes do not need it"
            )


def _is_length(value: Any) -> bool:
    # Booleans are ints to Python; nan fails the comparison.
    return not isinstance(value, bool) and 1 <= value < _LONGEST and value == int(value)


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False


def _is_outline(outline: Any) -> bool:
    if outline is None or isinstance(outline, dict):
        return True
    return isinstance(outline, list) and all(isinstance(polygon, list) for polygon in outline)
