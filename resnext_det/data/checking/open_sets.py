"""Sets opened for a check, whatever is wrong with them. Engine-neutral."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.checking.findings import CheckKind, Finding
from resnext_det.data.checking.readers import FileReader, SourceReader
from resnext_det.data.checking.subjects import CheckedSet, Objects, SetImage
from resnext_det.data.classification_forms import load_classification_set
from resnext_det.data.coco_checks import sound_items
from resnext_det.data.coco_mending import Slip, mend, mend_separators
from resnext_det.data.coco_values import is_length
from resnext_det.data.file_names import leaves_folder, name_flaw
from resnext_det.data.packed import PackedList
from resnext_det.errors import UserError
from resnext_det.json_files import read_json

_HUGE = 1e30
_NO_OBJECTS = np.zeros(0, np.int64)


def open_set(
    entry: DatasetEntry, *, trust_file_names: bool = False
) -> tuple[CheckedSet, list[Finding]]:
    """Opens a set.

    Args:
        entry: where it lies.
        trust_file_names: open images whose names leave the image folder.

    Returns:
        The set, empty where it cannot be opened, and what is wrong as a whole then.

    Raises:
        UserError: its file or folder is not there.
    """
    if entry.json_file is None:
        return _open_classification(entry)
    for path, is_there in (
        (entry.json_file, entry.json_file.is_file()),
        (entry.image_root, entry.image_root.is_dir()),
    ):
        if not is_there:
            what = "file" if path is entry.json_file else "folder"
            raise UserError(f"{path}: no such {what}, for data set '{entry.name}'{entry.hint}")
    try:
        content = read_json(entry.json_file)
    except UserError as error:
        where, kind = str(entry.json_file), CheckKind.UNREADABLE.value
        reason, _, advice = str(error).removeprefix(f"{where}: ").partition("; ")
        return _empty(entry), [Finding(entry.name, kind, where, reason, advice or "see to it")]
    # As a run does before it looks at anything: what it mends in memory is no problem.
    slips = [*mend(content), *mend_separators(entry.image_root, content)]
    return set_of_content(entry, content, slips, trust_file_names=trust_file_names), []


def _open_classification(entry: DatasetEntry) -> tuple[CheckedSet, list[Finding]]:
    if not entry.address and not entry.image_root.exists() and "{" not in str(entry.image_root):
        raise UserError(f"{entry.image_root}: no such folder, for data set '{entry.name}'")
    try:
        # As a set that is trained on, so that few headers are read: all images are decoded.
        opened = load_classification_set(entry, training=True, skip_broken=True)
    except UserError as error:
        finding = Finding(entry.name, CheckKind.SET.value, "", str(error))
        return _empty(entry), [finding]
    count = len(opened)
    source = opened.images
    objects = Objects(
        np.arange(count),
        np.array([source.label(index) for index in range(count)], np.int64),
        np.zeros(count, np.bool_),
    )
    images = [SetImage(source.name(index)) for index in range(count)]
    return CheckedSet(entry, images, objects, opened.class_names, (), SourceReader(source)), []


def _empty(entry: DatasetEntry) -> CheckedSet:
    boxes = None if entry.json_file is None else np.zeros((0, 4))
    areas = None if boxes is None else np.zeros(0)
    objects = Objects(_NO_OBJECTS, _NO_OBJECTS, np.zeros(0, np.bool_), boxes, areas, _NO_OBJECTS)
    return CheckedSet(entry, (), objects, (), (), FileReader(PackedList([])), is_read=False)


def set_of_content(
    entry: DatasetEntry,
    content: Any,
    slips: Sequence[Slip] = (),
    *,
    trust_file_names: bool = False,
) -> CheckedSet:
    """Returns a detection set of what an annotation file holds, as far as it makes sense.

    Args:
        entry: where it lies.
        content: what the file holds.
        slips: of it, mended already.
        trust_file_names: open images whose names leave the image folder.
    """
    images = _images(content)
    categories = {item["id"]: str(item["name"]) for item in sound_items(content, "categories")}
    ids = sorted(categories)
    places = {image.image_id: place for place, image in reversed(list(enumerate(images)))}
    paths = [
        "" if leaves_folder(image.name) and not trust_file_names else _path(entry, image)
        for image in images
    ]
    return CheckedSet(
        entry,
        images,
        _objects(content, places, {category: number for number, category in enumerate(ids)}),
        [categories[category] for category in ids],
        ids,
        FileReader(PackedList(paths)),
        content=content,
        slips=slips,
    )


def _images(content: Any) -> list[SetImage]:
    """Returns the images that have a name, whatever else they lack."""
    items = content.get("images") if isinstance(content, dict) else None
    found = []
    for item in items if isinstance(items, list) else ():
        name = item.get("file_name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name_flaw(name):
            continue
        image_id = item.get("id")
        known = image_id if isinstance(image_id, int | str) else None
        found.append(SetImage(name, known, _stated_size(item)))
    return found


def _stated_size(item: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = item.get("height"), item.get("width")
    if not isinstance(height, int | float) or not isinstance(width, int | float):
        return None
    return (int(height), int(width)) if is_length(height) and is_length(width) else None


def _objects(content: Any, places: Mapping[Any, int], classes: Mapping[int, int]) -> Objects:
    rows, images, labels, crowds, boxes, areas = [], [], [], [], [], []
    for row, item in _usable(content, places, classes):
        rows.append(row)
        images.append(places[item["image_id"]])
        labels.append(classes[item["category_id"]])
        crowds.append(item.get("iscrowd", 0) in (1, True))
        boxes.append(item["bbox"])
        areas.append(_area(item))
    return Objects(
        np.array(images, np.int64),
        np.array(labels, np.int64),
        np.array(crowds, np.bool_),
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(areas, np.float64),
        np.array(rows, np.int64),
    )


def _usable(
    content: Any, places: Mapping[Any, int], classes: Mapping[int, int]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yields annotations with a box of some size, a known image and class, with their places."""
    items = content.get("annotations") if isinstance(content, dict) else None
    for row, item in enumerate(items if isinstance(items, list) else ()):
        if not isinstance(item, dict):
            continue
        keys = item.get("image_id"), item.get("category_id")
        if not all(isinstance(key, int | str) for key in keys):
            continue
        if keys[0] in places and keys[1] in classes and drawable(item.get("bbox")):
            yield row, item


def _area(item: Mapping[str, Any]) -> float:
    """Returns the area that COCO's scoring takes, of the mask; that of the box where it is none."""
    area: Any = item.get("area")
    return float(area) if _is_number(area) and area >= 0 else item["bbox"][2] * item["bbox"][3]


def drawable(box: Any) -> bool:
    """Returns whether a value is x, y, w, h of a box of some size."""
    return (
        isinstance(box, Sequence)
        and len(box) == 4
        and all(map(_is_number, box))
        and box[2] > 0
        and box[3] > 0
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_HUGE < value < _HUGE


def _path(entry: DatasetEntry, image: SetImage) -> str:
    return str(entry.image_root / image.name)
