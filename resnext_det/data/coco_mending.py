"""Slips of annotation files that have one meaning, mended and counted. Engine-neutral.

A number written as text ("12.5"), a whole number with a point where an id or flag is (3.0), an id
of an image that is a text in one place and a number in the other, an annotation without an id,
which nobody asks for. Everything else is for the user to mend.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from resnext_det.data.file_names import leaves_folder, name_flaw, shown_name

_NUMBER = re.compile(r"[+-]?(?:\d{1,30}(\.\d{0,30})?|(\.\d{1,30}))([eE][+-]?\d{1,3})?")
_LONGEST = 60  # letters of a value that a place shows
Item = dict[str, Any]


class SlipKind(Enum):
    """Kinds of slips; the value is its name in JSON."""

    NUMBER = "number_as_text"
    ID = "id_given"
    SEPARATOR = "separators"


_TOLD = {
    SlipKind.NUMBER: "number(s) written as text or with a point",
    SlipKind.ID: "annotation(s) without an id",
    SlipKind.SEPARATOR: "file name(s) with backslashes",
}


@dataclass(frozen=True)
class Slip:
    """One value that was mended.

    Attributes:
        kind: of which kind.
        where: the entry, as "annotation 3".
        reason: what it was and is now.
        image_id: of the image it concerns, where one can be told.
    """

    kind: SlipKind
    where: str
    reason: str
    image_id: int | str | None = None


def mend(content: Any) -> Iterator[Slip]:
    """Mends what can be mended of a COCO file's content, in place, as far as it is asked for.

    Yields:
        Each value that was mended, after it was.
    """
    for image in _items(content, "images"):
        pointed = [*_replace(image, ("id",), _unpointed)]
        for what in (*pointed, *_replace(image, ("height", "width"), number_of_text)):
            yield _number_slip(f"image {_shown(image.get('id'))}", what, image.get("id"))
    for category in _items(content, "categories"):
        for what in _replace(category, ("id",), _whole):
            yield _number_slip(f"category {_shown(category.get('name'))}", what)
    known = {i["id"] for i in _items(content, "images") if type(i.get("id")) in (int, str)}
    for annotation in _items(content, "annotations"):
        for what in _replace(annotation, ("id",), _unpointed):
            where = f"annotation {annotation['id']}"
            yield _number_slip(where, what, annotation.get("image_id"))
    yield from _number_annotations(list(_items(content, "annotations")))
    for annotation in _items(content, "annotations"):
        for what in _mend_annotation(annotation, known):
            where = f"annotation {_shown(annotation.get('id'))}"
            yield _number_slip(where, what, annotation.get("image_id"))


def mend_separators(root: Path, content: Any) -> Iterator[Slip]:
    r"""Writes `train\a.png` as `train/a.png` where only the latter is there, in place.

    Args:
        root: the folder of the images.
        content: of a COCO file.

    Yields:
        Each name that was mended, after it was.
    """
    for image in _items(content, "images"):
        name = image.get("file_name")
        if not isinstance(name, str) or "\\" not in name or name_flaw(name) or leaves_folder(name):
            continue
        other = name.replace("\\", "/")
        if not (root / name).is_file() and (root / other).is_file():
            image["file_name"] = other
            reason = f"file_name {shown_name(name)} is taken as {shown_name(other)}"
            where, image_id = f"image {_shown(image.get('id'))}", _id(image.get("id"))
            yield Slip(SlipKind.SEPARATOR, where, reason, image_id)


def mended_line(path: Path, slips: Iterable[Slip]) -> str | None:
    """Returns the one line that the log has of slips; None where there are none."""
    counts = Counter(slip.kind for slip in slips)
    if not counts:
        return None
    told = ", ".join(f"{counts[kind]} {what}" for kind, what in _TOLD.items() if kind in counts)
    return (
        f"{path}: {told}: mended in memory; `resnext-det dataset check --fix` writes a mended copy"
    )


def _items(content: Any, section: str) -> Iterator[Item]:
    items = content.get(section) if isinstance(content, dict) else None
    return (
        (item for item in items if isinstance(item, dict)) if isinstance(items, list) else iter(())
    )


def _number_slip(where: str, what: str, image_id: Any = None) -> Slip:
    return Slip(SlipKind.NUMBER, where, what, _id(image_id))


def _id(value: Any) -> int | str | None:
    return value if type(value) in (int, str) else None


def _shown(value: Any) -> str:
    return str(value)[:_LONGEST]


def _taken(key: str, old: Any, new: Any) -> str:
    return f"{key} {repr(old)[:_LONGEST]} is taken as {new!r}"


def _mend_annotation(annotation: Item, images: Collection[int | str]) -> Iterator[str]:
    yield from _replace(annotation, ("area",), number_of_text)
    yield from _replace(annotation, ("category_id", "iscrowd"), _whole)
    box = annotation.get("bbox")
    for place, old in enumerate(box if isinstance(box, list) else ()):
        if (new := number_of_text(old)) is not old:
            annotation["bbox"][place] = new
            yield _taken(f"bbox[{place}]", old, new)
    image_id = annotation.get("image_id")
    if type(image_id) in (int, float, str) and image_id not in images:
        other = _whole(image_id) if isinstance(image_id, float | str) else str(image_id)
        if other in images:
            annotation["image_id"] = other
            yield _taken("image_id", image_id, other)
    elif isinstance(image_id, float):  # 3.0 is found among whole numbers, but is none
        yield from _replace(annotation, ("image_id",), _whole)


def _replace(item: Item, keys: tuple[str, ...], mended: Callable[[Any], Any]) -> Iterator[str]:
    for key in keys:
        if key in item and (new := mended(old := item[key])) is not old:
            item[key] = new
            yield _taken(key, old, new)


def number_of_text(value: Any) -> Any:
    """Returns the finite number that a text spells, anything else as it is."""
    if not isinstance(value, str) or not (match := _NUMBER.fullmatch(value.strip())):
        return value
    number = float(value) if any(match.groups()) else int(value)
    return number if math.isfinite(number) else value


def _unpointed(value: Any) -> Any:
    """Returns the whole number that a float is, anything else as it is: a text can be an id."""
    return _whole(value) if isinstance(value, float) else value


def _whole(value: Any) -> Any:
    """Returns the whole number that a text or a float is, anything else as it is."""
    number = number_of_text(value)
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**53:
        return int(number)
    return number if isinstance(number, int) else value


def _number_annotations(annotations: list[Item]) -> Iterator[Slip]:
    """Gives annotations without an id the numbers after the greatest."""
    nameless = [annotation for annotation in annotations if annotation.get("id") is None]
    used = (a["id"] for a in annotations if type(a.get("id")) is int)
    for number, annotation in enumerate(nameless, start=max(used, default=0) + 1):
        annotation["id"] = number
        reason = "had no id, and is given this one"
        yield Slip(SlipKind.ID, f"annotation {number}", reason, _id(annotation.get("image_id")))
