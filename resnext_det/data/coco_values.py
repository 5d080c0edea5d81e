"""Checks of the single values in a COCO annotation file, one line per mistake. Engine-neutral.

What passes here can be trained on and scored: nothing is left to be found when the
training is over.
"""

import math
import os
from collections.abc import Iterable, Iterator
from typing import Any

from resnext_det.data.coco_problems import FIX, Problem, ProblemKind
from resnext_det.data.file_names import TRUST_ADVICE, leaves_folder, name_flaw, shown_name

_LONGEST = 2**26  # pixels of a side; no image of more is ever decoded (opened_image)


def image_value_problems(
    images: Iterable[dict[str, Any]], *, trusted: bool = False
) -> Iterator[Problem]:
    """Yields bad file names, and sizes that are none, after `layout_problems`.

    A height or width is a whole number of pixels, from 1 to 2^26.

    Args:
        images: the entries of a file.
        trusted: the key `DATASETS.TRUST_FILE_NAMES`: names may leave the image folder.
    """
    seen: dict[str, int | str] = {}
    for image in images:
        name, where = image["file_name"], f"image {image['id']}"
        if flaw := name_flaw(name):
            reason = f"file_name {shown_name(name)} {flaw}"
            advice = "name a file of the image folder"
            yield Problem(ProblemKind.FILE_NAME, where, reason, advice, image["id"])
        elif not trusted and leaves_folder(name):
            reason = f"file_name {shown_name(name)} leaves the image folder"
            kind = ProblemKind.FILE_NAME_LEAVES
            yield Problem(kind, where, reason, TRUST_ADVICE, image["id"])
        path = os.path.normpath(name) if "/" in name else name
        first = seen.setdefault(path, image["id"])
        if first != image["id"]:  # a repeated id has been told
            yield Problem(
                ProblemKind.SAME_FILE,
                where,
                f"has the file_name {shown_name(name)} that image {first} has, too",
                "give its annotations to one of the two, or leave one out: each would be trained "
                "on as if the other's objects were background",
                image["id"],
            )
        for key in ("height", "width"):
            if not is_length(image[key]):
                yield Problem(
                    ProblemKind.IMAGE_SIZE,
                    f"{where} ({name})",
                    f"{key} is {image[key]!r}, not a whole number of pixels, from 1 to {_LONGEST}",
                    f"write the file's; {FIX} does",
                    image["id"],
                )


def annotation_value_problems(annotations: Iterable[dict[str, Any]]) -> Iterator[Problem]:
    """Yields bad `iscrowd`, `area` and `segmentation`, each of which may be absent.

    An `iscrowd` is 0 or 1; an `area` a finite number; a `segmentation` polygons or a run-length
    object: Detectron2 breaks off on anything else, also for detectors that use boxes only.
    """
    for annotation in annotations:
        where, image_id = f"annotation {annotation['id']}", annotation["image_id"]
        crowd = annotation.get("iscrowd", 0)
        if not isinstance(crowd, int) or crowd not in (0, 1):
            reason = f"iscrowd is {crowd!r}"
            yield Problem(ProblemKind.IS_CROWD, where, reason, "it must be 0 or 1", image_id)
        area = annotation.get("area", 0)
        if not _is_finite(area):
            yield Problem(
                ProblemKind.AREA,
                where,
                f"area is {area!r}, not a finite number",
                "leave the key out to have width x height of the box taken",
                image_id,
            )
        if not is_outline(annotation.get("segmentation")):
            shown = str(annotation["segmentation"])
            shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
            yield Problem(
                ProblemKind.SEGMENTATION,
                where,
                f"segmentation is {shown}, neither a list of polygons [[x, y, …], …] nor a "
                "run-length object",
                "mend it or leave the key out: boxes do not need it",
                image_id,
            )


def is_length(value: Any) -> bool:
    """Returns whether a number is a number of pixels that an image can have."""
    # Booleans are ints to Python; nan fails the comparison.
    return not isinstance(value, bool) and 1 <= value <= _LONGEST and value == int(value)


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False


def is_outline(outline: Any) -> bool:
    """Returns whether a segmentation is absent, polygons or a run-length object."""
    if outline is None or isinstance(outline, dict):
        return True
    return isinstance(outline, list) and all(isinstance(polygon, list) for polygon in outline)
