"""What can be wrong with a COCO annotation file, one line per mistake. Engine-neutral."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.catalog import DatasetEntry
from resnext_det.errors import UserError

OVERHANG = 1.0
"""Pixels by which a box may reach beyond its image and still be taken as rounding."""

_HUGE = 1e30


@dataclass(frozen=True)
class BoxVerdict:
    """Which boxes of a file are usable.

    Attributes:
        boxes: (A, 4) float64, xywh as in the file.
        keep: (A,) bool.
        dropped: how many are left out for their geometry.
        message: one line that says so.
    """

    boxes: NDArray[np.float64]
    keep: NDArray[np.bool_]
    dropped: int
    message: str


def check_layout(path: Path, content: Any) -> None:
    """Checks that the content is an object with COCO's lists and their needed keys.

    Raises:
        UserError: something is missing or of another type.
    """
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: not COCO: the top level is a {type(content).__name__}, not an object "
            "with 'images', 'annotations' and 'categories'"
        )
    needed: dict[str, dict[str, type | tuple[type, ...]]] = {
        "images": {
            "id": (int, str),
            "file_name": str,
            "height": (int, float),
            "width": (int, float),
        },
        "annotations": {"id": (int, str), "image_id": (int, str), "category_id": int, "bbox": list},
        "categories": {"id": int, "name": str},
    }
    for section, keys in needed.items():
        if not isinstance(content.get(section), list):
            problem = "is not a list" if section in content else "is missing"
            raise UserError(f"{path}: not COCO: the key '{section}' {problem}")
        for number, item in enumerate(content[section]):
            _check_item(path, f"{section}[{number}]", item, keys)
    for section in ("images", "categories"):
        if not content[section]:
            raise UserError(f"{path}: '{section}' is empty")


def _check_item(
    path: Path, place: str, item: Any, keys: dict[str, type | tuple[type, ...]]
) -> None:
    if not isinstance(item, dict):
        raise UserError(f"{path}: not COCO: {place} is not an object")
    for key, kind in keys.items():
        if not isinstance(item.get(key), kind):
            problem = f"is {item[key]!r}" if key in item else "is missing"
            raise UserError(f"{path}: not COCO: '{key}' of {place} {problem}")


def check_ids(path: Path, content: dict[str, Any]) -> None:
    """Checks that ids are unique and that annotations name images and categories there.

    The two COCO 2014 "minival" files repeat annotation ids, and are known to.

    Raises:
        UserError: an id repeats or refers to nothing.
    """
    singular = {"images": "image", "annotations": "annotation", "categories": "category"}
    for section, what in singular.items():
        if section == "annotations" and "minival" in path.name:
            continue
        _check_unique(path, what, (item["id"] for item in content[section]))
    for key, section in (("image_id", "images"), ("category_id", "categories")):
        known = {item["id"] for item in content[section]}
        strays = [item for item in content["annotations"] if item[key] not in known]
        if strays:
            raise UserError(
                f"{path}: annotation {strays[0]['id']} has {key} {strays[0][key]}, which is "
                f"not in '{section}'; {len(strays)} such annotation(s)"
            )
    for item in content["annotations"]:
        if item.get("ignore"):
            raise UserError(
                f"{path}: annotation {item['id']} is marked 'ignore', which Detectron2 does not "
                "support; mark it iscrowd or remove it"
            )


def _check_unique(path: Path, what: str, ids: Iterable[int | str]) -> None:
    repeated = [key for key, count in Counter(ids).items() if count > 1]
    if repeated:
        raise UserError(
            f"{path}: {what} id {repeated[0]} is used more than once; {len(repeated)} such id(s)"
        )


def check_images_exist(entry: DatasetEntry, file_names: Sequence[str]) -> None:
    """Checks that every image is in its folder, one directory listing per folder.

    Raises:
        UserError: images are missing; names the first and their number.
    """
    listings: dict[Path, set[str]] = {}
    missing = []
    for file_name in file_names:
        path = entry.image_root / file_name
        if path.parent not in listings:
            listings[path.parent] = set(os.listdir(path.parent)) if path.parent.is_dir() else set()
        if path.name not in listings[path.parent]:
            missing.append(file_name)
    if missing:
        raise UserError(
            f"{entry.image_root}: {len(missing)} of the {len(file_names)} images that "
            f"{entry.json_file} names are not there, the first is '{missing[0]}'"
        )


def judge_boxes(path: Path, content: dict[str, Any], *, tolerant: bool) -> BoxVerdict:
    """Judges every box against its image.

    Args:
        path: the annotation file, for messages.
        content: what it holds, after `check_layout` and `check_ids`.
        tolerant: leave out what cannot be used instead of refusing the file.

    Raises:
        UserError: a box is not four finite numbers; or, unless tolerant, is of zero or
            negative size, or reaches more than `OVERHANG` px beyond its image.
    """
    annotations = content["annotations"]
    images = {image["id"]: image for image in content["images"]}
    boxes = _box_array(path, annotations, images)
    sizes = np.array(
        [(images[a["image_id"]]["width"], images[a["image_id"]]["height"]) for a in annotations],
        dtype=np.float64,
    ).reshape(-1, 2)
    crowd = np.array([bool(a.get("iscrowd", 0)) for a in annotations], dtype=np.bool_)
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    overhang = np.maximum(-low, high - sizes).max(axis=1, initial=0.0)
    flat = (boxes[:, 2:] <= 0).any(axis=1) & ~crowd
    outside = ((low >= sizes) | (high <= 0)).any(axis=1) & ~crowd & ~flat
    over = (overhang > OVERHANG) & ~crowd & ~flat & ~outside
    reasons = (
        (flat, "has a width or height of zero or less"),
        (outside, "lies wholly outside the image"),
        (over, "reaches beyond the image's edge by {overhang:.4g} px"),
    )
    bad = flat | outside if tolerant else flat | outside | over
    message = ""
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        reason = next(text for mask, text in reasons if mask[row])
        message = _describe(path, annotations[row], images, reason.format(overhang=overhang[row]))
        message += f"; {int(bad.sum())} unusable box(es) in the file"
        if not tolerant:
            raise UserError(
                f"{message}. Mend the file, or set DATASETS.DROP_BAD_BOXES True to go on "
                "without them"
            )
        message += " are left out"
    keep = ~bad & _has_valid_outline(annotations)
    return BoxVerdict(boxes, keep, int(bad.sum()), message)


def _describe(
    path: Path, annotation: dict[str, Any], images: dict[Any, dict[str, Any]], reason: str
) -> str:
    image = images[annotation["image_id"]]
    return (
        f"{path}: annotation {annotation['id']} of image {image['file_name']} (id {image['id']}, "
        f"{image['width']}x{image['height']}): box {annotation['bbox']} {reason}"
    )


def _box_array(
    path: Path, annotations: list[dict[str, Any]], images: dict[Any, dict[str, Any]]
) -> NDArray[np.float64]:
    """Returns (A, 4) boxes after checking that each is four finite numbers."""
    for annotation in annotations:
        if not _four_finite_numbers(annotation["bbox"]):
            raise UserError(_describe(path, annotation, images, "is not four finite numbers"))
    return np.array([a["bbox"] for a in annotations], dtype=np.float64).reshape(-1, 4)


def _four_finite_numbers(box: list[Any]) -> bool:
    # Infinity and nan fail both comparisons; so does a whole number beyond any float.
    return len(box) == 4 and all(
        isinstance(value, (int, float)) and -_HUGE < value < _HUGE for value in box
    )


def _has_valid_outline(annotations: list[dict[str, Any]]) -> NDArray[np.bool_]:
    """Marks annotations whose polygons, where there are any, include a valid one.

    Detectron2 leaves out an object all of whose polygons have fewer than three points,
    also for detectors that use boxes only.
    """

    def valid(outline: Any) -> bool:
        if not isinstance(outline, list) or not outline:
            return True
        return any(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in outline)

    return np.array([valid(a.get("segmentation")) for a in annotations], dtype=np.bool_)
