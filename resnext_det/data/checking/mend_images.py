"""The images of an annotation file put right: names, sizes, broken ones. Engine-neutral."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from resnext_det.data.checking.image_facts import ImageFacts, look_at
from resnext_det.data.checking.mend_log import MendLog
from resnext_det.data.checking.mend_numbers import as_number
from resnext_det.data.checking.readers import FileReader
from resnext_det.data.coco_boxes import OVERHANG
from resnext_det.data.coco_values import is_length
from resnext_det.data.packed import PackedList

Item = dict[str, Any]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class KnownImages:
    """What the check knows of the images.

    Attributes:
        folder: where they lie.
        facts: name in the annotation file -> what decoding it told; takes in those mended.
    """

    folder: Path
    facts: dict[str, ImageFacts]


def mend_images(content: dict[str, list[Item]], known: KnownImages, log: MendLog) -> set[Any]:
    """Mends names and sizes, and takes out images without a sound file, with their annotations.

    A name of a file that is not there is mended where a file of this name, without its folders,
    lies in the image folder. A size that is no size is taken from the file, and so is one that
    some of the image's boxes do not fit while all fit the file's. Any other that differs from the
    file's stays: nothing tells which of the two the boxes were drawn on.

    Returns:
        The ids of images whose size stays in doubt.
    """
    kept, removed, doubtful = [], set(), set()
    boxes = _boxes_by_image(content["annotations"])
    for item in content["images"]:
        facts = _mend_name(item, known, log)
        if facts is None:
            removed.add(item["id"])
            log.add("image_removed", f"image {item['id']} ({item.get('file_name')})")
            continue
        _mend_size(item, facts, boxes.get(item["id"], ()), log)
        if (item["height"], item["width"]) != (facts.height, facts.width):
            doubtful.add(item["id"])
        kept.append(item)
    still = {item["id"] for item in kept}
    gone = removed - still
    content["images"] = kept
    annotations = []
    for item in content["annotations"]:
        if item["image_id"] in gone:
            log.add("of_removed_image", f"annotation {item.get('id')}")
        else:
            annotations.append(item)
    content["annotations"] = annotations
    return doubtful


def _mend_name(item: Item, known: KnownImages, log: MendLog) -> ImageFacts | None:
    """Returns what is known of an image that is there and sound, None of any other."""
    name = item.get("file_name")
    if not isinstance(name, str):
        return None
    facts = known.facts.get(name)
    if facts is not None and not facts.error:
        return facts
    for other in _other_names(name, known.folder):
        if other not in known.facts:
            reader = FileReader(PackedList([str(known.folder / other)]))
            known.facts[other] = look_at(reader, 0)
        facts = known.facts[other]
        if not facts.error:
            log.add("file_name", f"image {item['id']}: {name!r} is {other!r}")
            item["file_name"] = other
            return facts
    return None


def _other_names(name: str, folder: Path) -> Sequence[str]:
    """Returns names of files in the image folder that a name may mean, the likeliest first."""
    windows = PureWindowsPath(name)
    tries = ["/".join(windows.parts) if not windows.anchor else "", windows.name]
    path = Path(name)
    if path.is_absolute() and folder.resolve() in path.parents:
        tries.insert(0, path.relative_to(folder.resolve()).as_posix())
    return [
        text
        for text in dict.fromkeys(tries)
        if text and text != name and ".." not in Path(text).parts and os.path.isfile(folder / text)
    ]


def _mend_size(item: Item, facts: ImageFacts, boxes: Sequence[Box], log: MendLog) -> None:
    where = f"image {item['id']} ({item['file_name']})"
    for key, found in (("height", facts.height), ("width", facts.width)):
        value = item.get(key)
        number = as_number(value)
        if number is None or not is_length(number):
            log.add("image_size", f"{where}: {key} {value!r} is {found}")
            item[key] = found
        elif number is not value:
            log.add("number_as_text", f"{key} {value!r} of {where}")
            item[key] = number
    stated, found = (item["width"], item["height"]), (facts.width, facts.height)
    if stated != found and not _fit(boxes, stated) and _fit(boxes, found):
        log.add("image_size", f"{where}: {stated[0]}x{stated[1]} is {found[0]}x{found[1]}")
        item["width"], item["height"] = found


def _fit(boxes: Sequence[Box], size: tuple[float, float]) -> bool:
    return all(
        min(x, y) >= -OVERHANG and x + w <= size[0] + OVERHANG and y + h <= size[1] + OVERHANG
        for x, y, w, h in boxes
    )


def _boxes_by_image(annotations: Sequence[Item]) -> dict[Any, list[Box]]:
    """Returns image id -> the boxes of four numbers that have a size."""
    found: dict[Any, list[Box]] = {}
    for item in annotations:
        box = item.get("bbox")
        numbers = [as_number(value) for value in box] if isinstance(box, list) else []
        if len(numbers) == 4 and None not in numbers and not item.get("iscrowd"):
            x, y, width, height = (number or 0 for number in numbers)
            if width > 0 and height > 0:
                found.setdefault(item["image_id"], []).append((x, y, width, height))
    return found
