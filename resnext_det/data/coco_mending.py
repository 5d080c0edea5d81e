"""Slips of annotation files that have one meaning, mended and counted. Engine-neutral.

A number written as text ("12.5"), a whole number with a point where an id or flag is (3.0), an id
of an image that is a text in one place and a number in the other, an annotation without an id,
which nobody asks for. Everything else is for the user to mend.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from resnext_det.data.file_names import leaves_folder

_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{0,30})?([eE][+-]?\d{1,3})?")
_NUMBERS, _IDS, _NAMES = (
    "number(s) written as text or with a point",
    "annotation(s) without an id",
    "file name(s) with backslashes",
)


def mend(content: Any) -> Counter[str]:
    """Mends what can be mended of a COCO file's content, in place.

    Returns:
        What was mended -> how often; nothing where nothing was.
    """
    mended: Counter[str] = Counter()
    for image in _items(content, "images"):
        mended[_NUMBERS] += _replace(image, ("height", "width"), _number)
    for category in _items(content, "categories"):
        mended[_NUMBERS] += _replace(category, ("id",), _whole)
    annotations = list(_items(content, "annotations"))
    known = {i["id"] for i in _items(content, "images") if type(i.get("id")) in (int, str)}
    for annotation in annotations:
        mended[_NUMBERS] += _mend_annotation(annotation, known)
    mended[_IDS] += _number_annotations(annotations)
    return +mended  # without the zeros


def mend_separators(root: Path, content: dict[str, Any]) -> Counter[str]:
    r"""Writes `train\a.png` as `train/a.png` where only the latter is there, in place.

    Args:
        root: the folder of the images.
        content: of a COCO file, after its checks.
    """
    mended: Counter[str] = Counter()
    for image in content["images"]:
        name = image["file_name"]
        if "\\" not in name or leaves_folder(name) or (root / name).is_file():
            continue
        other = name.replace("\\", "/")
        if (root / other).is_file():
            image["file_name"] = other
            mended[_NAMES] += 1
    return mended


def mended_line(path: Path, mended: Counter[str]) -> str:
    """Returns the one line that the log has of it."""
    told = ", ".join(f"{count} {what}" for what, count in mended.items())
    return (
        f"{path}: {told}: mended in memory; `resnext-det dataset check --fix` writes a mended copy"
    )


def _items(content: Any, section: str) -> Iterator[dict[str, Any]]:
    items = content.get(section) if isinstance(content, dict) else None
    return (
        (item for item in items if isinstance(item, dict)) if isinstance(items, list) else iter(())
    )


def _mend_annotation(annotation: dict[str, Any], images: Collection[int | str]) -> int:
    count = _replace(annotation, ("area",), _number)
    count += _replace(annotation, ("category_id", "iscrowd"), _whole)
    box = annotation.get("bbox")
    if isinstance(box, list):
        numbers = [_number(value) for value in box]
        count += sum(new is not old for new, old in zip(numbers, box, strict=True))
        annotation["bbox"] = numbers
    image_id = annotation.get("image_id")
    if type(image_id) in (int, float, str) and image_id not in images:
        other = _whole(image_id) if isinstance(image_id, float | str) else str(image_id)
        if other in images:
            annotation["image_id"] = other
            count += 1
    elif isinstance(image_id, float):  # 3.0 is found among whole numbers, but is none
        count += _replace(annotation, ("image_id",), _whole)
    return count


def _replace(item: dict[str, Any], keys: tuple[str, ...], mended: Any) -> int:
    count = 0
    for key in keys:
        if key in item and (new := mended(item[key])) is not item[key]:
            item[key] = new
            count += 1
    return count


def _number(value: Any) -> Any:
    """Returns the number that a text spells, anything else as it is."""
    if not isinstance(value, str) or not (match := _NUMBER.fullmatch(value.strip())):
        return value
    return float(value) if match[1] or match[2] else int(value)


def _whole(value: Any) -> Any:
    """Returns the whole number that a text or a float is, anything else as it is."""
    number = _number(value)
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**53:
        return int(number)
    return number if isinstance(number, int) else value


def _number_annotations(annotations: list[dict[str, Any]]) -> int:
    """Gives annotations without an id the numbers after the greatest."""
    nameless = [annotation for annotation in annotations if annotation.get("id") is None]
    used = (a["id"] for a in annotations if type(a.get("id")) is int)
    for number, annotation in enumerate(nameless, start=max(used, default=0) + 1):
        annotation["id"] = number
    return len(nameless)
