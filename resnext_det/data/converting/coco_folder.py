"""COCO JSON in a folder of photographs, to be split, joined or numbered anew. Engine-neutral."""

import posixpath
import re
from pathlib import PurePosixPath
from typing import Any

from resnext_det.data.converting.folder import Folder
from resnext_det.data.converting.labels import Corners, Found, Label, LabelledImage, Notes
from resnext_det.data.converting.labels import checked_class as _checked_class
from resnext_det.data.converting.marking import was_made
from resnext_det.errors import UserError
from resnext_det.json_files import read_json

NO_IMAGE = "listed image(s) are not there, and are left out"
_KEPT = ("segmentation", "area")
_FAR = 1e9  # pixels; NaN is not nearer
_SPLIT = re.compile(r"(?:^|[_.-])(train|valid|val|test)(?=$|[_.-]|\d)")
_SPLITS = {"train": "train", "valid": "val", "val": "val", "test": "test"}


def is_coco(content: Any) -> bool:
    """Tells COCO's files from other JSON."""
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content)


def read_coco(folder: Folder, notes: Notes) -> Found:
    """Reads all COCO files below a folder; other JSON is passed over.

    Keypoints are left out. Classes of one name are one class.

    Raises:
        UserError: a file is not JSON, or its lists, ids or boxes are not COCO's.
    """
    images: list[LabelledImage] = []
    class_names: dict[str, None] = {}
    splits: dict[str, frozenset[str]] = {}
    files, listed = [], 0
    contents = {name: read_json(folder.root / name) for name in folder.with_ending(".json")}
    all_made = all(was_made(content) for content in contents.values() if is_coco(content))
    for name, content in contents.items():
        if was_made(content) and not all_made:  # where it stands alone, it is split once more
            continue
        if not is_coco(content):
            notes.add("JSON file(s) are not COCO's, and are left out", name)
            continue
        files.append(name)
        listed += len(content["images"])
        classes, read = _read_file(folder, name, content, notes)
        class_names.update(dict.fromkeys(classes))
        images += read
        if split := _split_of(name):
            known = splits.get(split, frozenset())
            splits[split] = known | {image.name for image in read}
    notes.refuse_most(NO_IMAGE, listed, "name the folder of the images as --images")
    return Found(tuple(images), tuple(class_names) or None, splits, tuple(files))


def _read_file(
    folder: Folder, name: str, content: dict[str, Any], notes: Notes
) -> tuple[list[str], list[LabelledImage]]:
    """Returns the names of the classes, and the images."""
    from resnext_det.data.coco_checks import check_layout, id_problems  # needs torchvision
    from resnext_det.data.coco_problems import refuse_first

    path = folder.root / name
    check_layout(path, content)
    refuse_first(path, id_problems(name, content))
    ordered = sorted(content["categories"], key=lambda category: category["id"])
    classes = {category["id"]: _checked_class(category["name"], str(path)) for category in ordered}
    labels: dict[Any, list[Label]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        where = f"{path}: annotation {annotation['id']}"
        label = _label(annotation, classes[annotation["category_id"]], where, notes)
        labels[annotation["image_id"]].append(label)
    images = []
    for image in content["images"]:
        found = folder.image_called(posixpath.dirname(name), image["file_name"])
        if found is None:
            notes.add(NO_IMAGE, f"{name}: {image['file_name']}")
            continue
        size = _size(image, f"{path}: image {image['id']}")
        images.append(LabelledImage(found, name, tuple(labels[image["id"]]), size))
    return list(classes.values()), images


def _label(annotation: dict[str, Any], class_name: str, where: str, notes: Notes) -> Label:
    box = annotation["bbox"]
    numbers = all(type(value) in (int, float) and abs(value) < _FAR for value in box)
    if len(box) != 4 or not numbers:
        raise UserError(f"{where}: bbox is not four finite numbers; see `dataset check --fix`")
    if "keypoints" in annotation:
        notes.add("object(s) have keypoints, which are left out", where)
    x, y, width, height = box
    corners: Corners = (x, y, x + width, y + height)
    kept = {key: annotation[key] for key in _KEPT if annotation.get(key)}
    crowd = annotation.get("iscrowd") in (1, True)
    return Label(f"{where} ({class_name})", class_name, corners, is_crowd=crowd, kept=kept)


def _size(image: dict[str, Any], where: str) -> tuple[int, int]:
    width, height = image["width"], image["height"]
    if not all(type(side) in (int, float) and 0 < side < _FAR for side in (width, height)):
        raise UserError(f"{where}: its size is no number of pixels; see `dataset check --fix`")
    return int(width), int(height)


def _split_of(name: str) -> str:
    """Returns the split that a file's name or folder speaks of, as train/_annotations.coco.json."""
    path = PurePosixPath(name)
    for part in (path.stem, *reversed(path.parts[:-1])):
        if spoken := _SPLIT.search(part.lower()):
            return _SPLITS[spoken[1]]
    return ""
