"""Draws a folder of labelled pictures for who has none at hand: shapes on noise. Engine-neutral.

    python projects/GettingStarted/make_photos.py FOLDER [--format voc] [--number 60]

The same pictures on every machine, whatever the format of their labels.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, ImageDraw

from resnext_det.errors import UserError

CLASSES = ("circle", "square", "triangle")
WIDTH, HEIGHT = 320, 240
SMALLEST, LARGEST = 50, 110  # pixels of a side
MOST_OBJECTS = 3
FORMATS = ("voc", "yolo", "labelme", "coco")


@dataclass(frozen=True)
class Shape:
    """One drawn object.

    Attributes:
        label: its place in CLASSES.
        box: x0, y0, x1, y1, edges in pixels; whole numbers.
    """

    label: int
    box: tuple[int, int, int, int]


def draw(number: int) -> tuple[Image.Image, list[Shape]]:
    """Draws the picture of a number, seeded by it: one to three shapes that do not overlap.

    Returns:
        The picture, and what is in it.
    """
    rng = np.random.default_rng((1611, number))
    image = _ground(rng)
    shapes: list[Shape] = []
    for _ in range(int(rng.integers(1, MOST_OBJECTS + 1))):
        side = int(rng.integers(SMALLEST, LARGEST + 1))
        x, y = int(rng.integers(0, WIDTH - side)), int(rng.integers(0, HEIGHT - side))
        shape = Shape(int(rng.integers(len(CLASSES))), (x, y, x + side, y + side))
        color = tuple(int(value) for value in rng.integers(170, 256, 3))
        if not any(_overlap(shape, other) for other in shapes):
            _draw_shape(ImageDraw.Draw(image), shape, color)
            shapes.append(shape)
    return image, shapes


def _ground(rng: np.random.Generator) -> Image.Image:
    """Dark clouds, other ones in each picture, with a grain."""
    clouds = Image.fromarray(rng.integers(20, 130, (4, 5, 3), dtype=np.uint8))
    smooth = np.asarray(clouds.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float64)
    grained = smooth + rng.normal(0, 12, smooth.shape)
    return Image.fromarray(np.clip(grained, 0, 255).astype(np.uint8))


def _overlap(shape: Shape, other: Shape) -> bool:
    (x0, y0, x1, y1), (u0, v0, u1, v1) = shape.box, other.box
    return x0 < u1 and u0 < x1 and y0 < v1 and v0 < y1


def _draw_shape(pen: ImageDraw.ImageDraw, shape: Shape, color: tuple[int, ...]) -> None:
    x0, y0, x1, y1 = shape.box
    corners = x0, y0, x1 - 1, y1 - 1  # Pillow's last pixel belongs to what is drawn
    if CLASSES[shape.label] == "circle":
        pen.ellipse(corners, fill=color)
    elif CLASSES[shape.label] == "square":
        pen.rectangle(corners, fill=color)
    else:
        pen.polygon([((x0 + x1) // 2, y0), (x0, y1 - 1), (x1 - 1, y1 - 1)], fill=color)


def write_voc(folder: Path, drawn: Sequence[tuple[str, list[Shape]]]) -> None:
    """Writes `Annotations/NAME.xml`; pixels are counted from 1."""
    for name, shapes in drawn:
        objects = "".join(_voc_object(shape) for shape in shapes)
        size = f"<width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth>"
        called = f"<filename>{escape(name)}.jpg</filename>"
        text = f"<annotation>{called}<size>{size}</size>{objects}</annotation>\n"
        _write(folder / "Annotations" / f"{name}.xml", text)


def _voc_object(shape: Shape) -> str:
    x0, y0, x1, y1 = shape.box
    corners = {"xmin": x0 + 1, "ymin": y0 + 1, "xmax": x1, "ymax": y1}
    box = "".join(f"<{key}>{value}</{key}>" for key, value in corners.items())
    name = f"<name>{CLASSES[shape.label]}</name><difficult>0</difficult>"
    return f"<object>{name}<bndbox>{box}</bndbox></object>"


def write_yolo(folder: Path, drawn: Sequence[tuple[str, list[Shape]]]) -> None:
    """Writes `labels/NAME.txt` and `data.yaml`; boxes are shares of the sides."""
    for name, shapes in drawn:
        lines = []
        for shape in shapes:
            x0, y0, x1, y1 = shape.box
            centre = (x0 + x1) / 2 / WIDTH, (y0 + y1) / 2 / HEIGHT
            sides = (x1 - x0) / WIDTH, (y1 - y0) / HEIGHT
            values = " ".join(f"{value:.7f}" for value in (*centre, *sides))
            lines.append(f"{shape.label} {values}\n")
        _write(folder / "labels" / f"{name}.txt", "".join(lines))
    _write(folder / "data.yaml", f"path: .\ntrain: images\nnames: {json.dumps(CLASSES)}\n")


def write_labelme(folder: Path, drawn: Sequence[tuple[str, list[Shape]]]) -> None:
    """Writes `NAME.json` beside each picture: rectangles, and outlines of triangles."""
    for name, shapes in drawn:
        content = {
            "version": "5.5.0",
            "flags": {},
            "shapes": [_labelme_shape(shape) for shape in shapes],
            "imagePath": f"{name}.jpg",
            "imageData": None,
            "imageHeight": HEIGHT,
            "imageWidth": WIDTH,
        }
        _write(folder / f"{name}.json", json.dumps(content, indent=1) + "\n")


def _labelme_shape(shape: Shape) -> dict[str, object]:
    x0, y0, x1, y1 = shape.box
    kind, points = "rectangle", [[x0, y0], [x1, y1]]
    if CLASSES[shape.label] == "triangle":
        kind, points = "polygon", [[(x0 + x1) / 2, y0], [x0, y1], [x1, y1]]
    label = {"label": CLASSES[shape.label], "points": points, "group_id": None}
    return {**label, "shape_type": kind, "flags": {}}


def write_coco(folder: Path, drawn: Sequence[tuple[str, list[Shape]]]) -> None:
    """Writes `annotations.json`."""
    size = {"width": WIDTH, "height": HEIGHT}
    images = [
        {"id": number, "file_name": f"images/{name}.jpg", **size}
        for number, (name, _) in enumerate(drawn, start=1)
    ]
    objects = [(n, shape) for n, (_, shapes) in enumerate(drawn, start=1) for shape in shapes]
    annotations = []
    for number, (image_id, shape) in enumerate(objects, start=1):
        x0, y0, x1, y1 = shape.box
        ids = {"id": number, "image_id": image_id, "category_id": shape.label + 1}
        area = (x1 - x0) * (y1 - y0)
        annotations.append({**ids, "bbox": [x0, y0, x1 - x0, y1 - y0], "area": area, "iscrowd": 0})
    categories = [{"id": n, "name": name} for n, name in enumerate(CLASSES, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    _write(folder / "annotations.json", json.dumps(content) + "\n")


_WRITERS = {"voc": write_voc, "yolo": write_yolo, "labelme": write_labelme, "coco": write_coco}
_IMAGES = {"voc": "JPEGImages", "yolo": "images", "labelme": "", "coco": "images"}


def make_photos(folder: Path, kind: str, number: int) -> str:
    """Draws pictures into a new folder, with their labels.

    Args:
        folder: new or empty.
        kind: one of FORMATS.
        number: of pictures.

    Returns:
        What was made, in one line.

    Raises:
        UserError: there is something in the folder, or it cannot be written.
    """
    try:
        if folder.exists() and next(folder.iterdir(), None):
            raise UserError(f"{folder}: is not empty; name a new folder")
        drawn = list(_draw_all(folder / _IMAGES[kind], number))
        _WRITERS[kind](folder, drawn)
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror}") from error
    objects = sum(len(shapes) for _, shapes in drawn)
    return f"{folder}: {number} pictures with {objects} shapes, labelled as {kind}"


def _draw_all(folder: Path, number: int) -> Iterator[tuple[str, list[Shape]]]:
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(number):
        name = f"shapes_{place:03}"
        image, shapes = draw(place)
        image.save(folder / f"{name}.jpg", quality=92)
        yield name, shapes


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    """Runs the command; returns 0, or 2 after a mistake the user can mend."""
    parser = argparse.ArgumentParser(description="Draw a folder of labelled pictures of shapes.")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a new one")
    parser.add_argument("--format", choices=FORMATS, default="voc", help="of the labels (voc)")
    parser.add_argument("--number", type=int, default=60, metavar="N", help="of pictures (60)")
    args = parser.parse_args()
    try:
        if args.number < 1:
            raise UserError(f"--number {args.number}: give 1 or more")
        print(make_photos(args.folder, args.format, args.number))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
