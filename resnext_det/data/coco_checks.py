"""What can be wrong with a COCO annotation file, one line per mistake. Engine-neutral."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from resnext_det.data.catalog import DatasetEntry, is_one_line
from resnext_det.errors import UserError


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
    for category in content["categories"]:
        if not is_one_line(category["name"]):  # tables, logs and JSON hold it
            raise UserError(
                f"{path}: category id {category['id']} has the name {category['name']!r}, which "
                "is not one line of text; rename it"
            )


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
        UserError: an id repeats or refers to nothing, or image ids mix numbers and texts,
            which have no order.
    """
    numbers = [image["id"] for image in content["images"] if isinstance(image["id"], int)]
    texts = [image["id"] for image in content["images"] if isinstance(image["id"], str)]
    if numbers and texts:
        raise UserError(
            f"{path}: image ids are partly numbers and partly texts, as {numbers[0]!r} and "
            f"{texts[0]!r}; write all of them as one or the other"
        )
    singular = {"images": "image", "annotations": "annotation", "categories": "category"}
    for section, what in singular.items():
        if section == "annotations" and "minival" in path.name:
            continue
        check_unique(path, what, (item["id"] for item in content[section]))
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


def check_unique(path: Path, what: str, ids: Iterable[int | str]) -> None:
    """Checks that no id is used twice.

    Raises:
        UserError: one is; names the first and their number.
    """
    repeated = [key for key, count in Counter(ids).items() if count > 1]
    if repeated:
        raise UserError(
            f"{path}: {what} id {repeated[0]} is used more than once; {len(repeated)} such id(s)"
        )


def check_present(
    path: Path,
    asked: Sequence[dict[str, Any]],
    key: str,
    need: str,
    *,
    mend_all: str,
    mend_some: str | None = None,
    article: str = "",
) -> None:
    """Checks that every annotation has what a detector needs of it.

    Args:
        path: the annotation file, for messages.
        asked: the annotations that have to have it.
        key: what: "segmentation", "keypoints".
        need: the setting that needs it.
        mend_all: what to do where none has it.
        mend_some: what to do where some have; `mend_all` when not given.
        article: before the key, "a ".

    Raises:
        UserError: some or all have none; names the first.
    """
    without = [annotation for annotation in asked if not annotation.get(key)]
    if not without:
        return
    if len(without) == len(asked):
        raise UserError(
            f"{path}: none of the {len(asked)} annotations has {article}'{key}', which {need} "
            f"needs; {mend_all}"
        )
    raise UserError(
        f"{path}: annotation {without[0]['id']} has no '{key}', which {need} needs; "
        f"{len(without)} such annotation(s); {mend_some or mend_all}"
    )


def check_images_exist(entry: DatasetEntry, file_names: Sequence[str]) -> None:
    """Checks that every image is in its folder, one directory listing per folder.

    Raises:
        UserError: images are missing; names the first and their number.
    """
    check_files_exist(entry.image_root, file_names, f"images that {entry.json_file} names")


def check_files_exist(folder: Path, file_names: Sequence[str], what: str) -> None:
    """Checks that files are below a folder, one directory listing per folder.

    Args:
        folder: where they should lie.
        file_names: their paths below it.
        what: their name in the message, in the plural.

    Raises:
        UserError: files are missing; names the first and their number.
    """
    listings: dict[Path, set[str]] = {}
    missing = []
    for file_name in file_names:
        path = folder / file_name
        if path.parent not in listings:
            listings[path.parent] = _files_in(path.parent)
        if path.name not in listings[path.parent]:
            missing.append(file_name)
    if missing:
        raise UserError(
            f"{folder}: {len(missing)} of the {len(file_names)} {what} are not there, the first "
            f"is '{missing[0]}'"
        )


def _files_in(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as items:
        return {item.name for item in items if not item.is_dir()}
