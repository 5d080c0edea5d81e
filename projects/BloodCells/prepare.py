"""Turns a folder in Pascal VOC's layout into two COCO JSON files, train and val. Engine-neutral.

    python projects/BloodCells/prepare.py BCCD_Dataset/BCCD datasets/bccd

The images, sorted by name, are split once: the last fifth is val. So the split needs no
list and no random draw, and photographs taken one after the other stay together.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from resnext_det.errors import UserError

VAL_SHARE = 0.2
CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class VocImage:
    """One annotation file.

    Attributes:
        file_name: the image's name, that of the XML file with `.jpg`.
        width: in pixels, as the XML states.
        height: in pixels, as the XML states.
        objects: (class name, (x0, y0, x1, y1)) in pixels; boxes without area are left out.
        dropped: how many boxes had no area.
    """

    file_name: str
    width: int
    height: int
    objects: tuple[tuple[str, tuple[int, int, int, int]], ...]
    dropped: int


def read_voc(path: Path) -> VocImage:
    """Reads one XML file.

    Raises:
        UserError: the file is not XML, or lacks a size, a name, or a corner.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: not XML ({error})") from None
    objects = [
        (_text(path, item, "name"), _corners(path, item)) for item in root.iterfind("object")
    ]
    kept = tuple((name, box) for name, box in objects if box[2] > box[0] and box[3] > box[1])
    return VocImage(
        file_name=f"{path.stem}.jpg",
        width=_number(path, root, "size/width"),
        height=_number(path, root, "size/height"),
        objects=kept,
        dropped=len(objects) - len(kept),
    )


def split_tail(
    images: Sequence[VocImage], val_share: float = VAL_SHARE
) -> tuple[Sequence[VocImage], Sequence[VocImage]]:
    """Returns (train, val): the last `val_share` of the images, rounded, are val."""
    num_train = len(images) - round(len(images) * val_share)
    return images[:num_train], images[num_train:]


def coco_json(
    images: Sequence[VocImage], class_names: Sequence[str], *, first_image: int, first_box: int
) -> dict[str, Any]:
    """Returns the COCO JSON of some images.

    Args:
        images: in the order of their ids.
        class_names: in the order of their ids, from 1.
        first_image: id of the first image.
        first_box: id of the first annotation.
    """
    annotations = [
        (image_id, name, box)
        for image_id, image in enumerate(images, first_image)
        for name, box in image.objects
    ]
    return {
        "images": [
            {"id": i, "file_name": m.file_name, "width": m.width, "height": m.height}
            for i, m in enumerate(images, first_image)
        ],
        "annotations": [
            {
                "id": i,
                "image_id": image_id,
                "category_id": class_names.index(name) + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],  # VOC's corners as they are, no pixel added
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": 0,
            }
            for i, (image_id, name, (x0, y0, x1, y1)) in enumerate(annotations, first_box)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(class_names, 1)],
    }


def prepare(voc: Path, output: Path) -> str:
    """Writes `train.json`, `val.json` and the link `images` into a folder.

    Args:
        voc: holds `Annotations` and `JPEGImages`.
        output: made where it is missing.

    Returns:
        What was written, in one line.

    Raises:
        UserError: there are no annotations, or an image is missing.
    """
    paths = sorted((voc / "Annotations").glob("*.xml"))
    if not paths:
        raise UserError(f"{voc}: no Annotations/*.xml; name the folder that holds Annotations")
    images = [read_voc(path) for path in paths]
    photos = (voc / "JPEGImages").resolve()
    missing = next((m.file_name for m in images if not (photos / m.file_name).is_file()), None)
    if missing:
        raise UserError(f"{photos / missing}: annotated, but there is no such image")
    class_names = sorted({name for image in images for name, _ in image.objects})
    train, val = split_tail(images)
    num_boxes = sum(len(image.objects) for image in train)
    output.mkdir(parents=True, exist_ok=True)
    _write(output / "train.json", coco_json(train, class_names, first_image=1, first_box=1))
    later = {"first_image": len(train) + 1, "first_box": num_boxes + 1}
    _write(output / "val.json", coco_json(val, class_names, **later))
    link = output / "images"
    if not link.exists():
        link.symlink_to(photos, target_is_directory=True)
    dropped = sum(image.dropped for image in images)
    return (
        f"{output}: {len(train)} + {len(val)} images, {len(class_names)} classes, "
        f"{dropped} boxes without area left out"
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content) + "\n")


def _corners(path: Path, item: ElementTree.Element) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (_number(path, item, f"bndbox/{corner}") for corner in CORNERS)
    return x0, y0, x1, y1


def _number(path: Path, element: ElementTree.Element, name: str) -> int:
    text = _text(path, element, name)
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{path}: {name} is {text!r}, not a whole number") from None


def _text(path: Path, element: ElementTree.Element, name: str) -> str:
    text = element.findtext(name)
    if text is None:
        raise UserError(f"{path}: <{element.tag}> has no {name}")
    return text


def main() -> int:
    """Runs the command; returns 0, or 2 after a mistake the user can mend."""
    parser = argparse.ArgumentParser(description="Pascal VOC folder -> COCO train.json, val.json")
    parser.add_argument("voc", type=Path, help="folder that holds Annotations and JPEGImages")
    parser.add_argument("output", type=Path, help="folder for train.json, val.json and images")
    args = parser.parse_args()
    try:
        print(prepare(args.voc, args.output))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
