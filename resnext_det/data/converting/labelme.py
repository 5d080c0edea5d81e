"""Labels as labelme writes them, a JSON file for each photograph. Engine-neutral.

Coordinates are those of edges, as COCO's, in pixels of the photograph as it is seen: labelme turns
it by its EXIF block before it shows it. Shapes of one `group_id` and label are one object, as in
labelme's own `labelme2coco.py` (examples/instance_segmentation).
"""

import math
from typing import Any

from resnext_det.data.converting.folder import Folder
from resnext_det.data.converting.labels import Corners, Found, Label, LabelledImage, Notes
from resnext_det.data.converting.labels import checked_class as _checked_class
from resnext_det.data.converting.marking import was_made
from resnext_det.data.converting.voc import NO_IMAGE
from resnext_det.errors import UserError
from resnext_det.json_files import read_json

NO_REGION = "shape(s) enclose nothing (points, lines), and are left out"
_FAR = 1e9  # pixels; NaN is not nearer
_FEWEST_POINTS = {"rectangle": 2, "circle": 2, "polygon": 3, "mask": 2}


def is_labelme(content: Any) -> bool:
    """Tells labelme's files from other JSON."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list)


def read_labelme(folder: Folder, notes: Notes) -> Found:
    """Reads all of labelme's files below a folder; other JSON is passed over.

    Raises:
        UserError: a file is not JSON, a shape has no points, or it may mean several photographs.
    """
    images, files = [], []
    for name in folder.with_ending(".json"):
        content = read_json(folder.root / name)
        if was_made(content):
            continue
        if not is_labelme(content):
            notes.add("JSON file(s) are not labelme's, and are left out", name)
            continue
        files.append(name)
        called = content.get("imagePath")
        image = folder.image_of(name, called if isinstance(called, str) else "")
        if image is None:
            notes.add(NO_IMAGE, name)
            continue
        labels = _labels(content["shapes"], str(folder.root / name), notes)
        images.append(LabelledImage(image, name, labels, _size(content)))
    notes.refuse_most(NO_IMAGE, len(files), "name the folder of the images as --images")
    return Found(tuple(images), None, {}, tuple(files))


def _labels(shapes: list[Any], shown: str, notes: Notes) -> tuple[Label, ...]:
    labels: dict[Any, Label] = {}
    for number, shape in enumerate(shapes, start=1):
        label = _label(shape, f"{shown}: shape {number}", notes)
        if label is None:
            continue
        group = shape.get("group_id")
        key = (label.class_name, group) if isinstance(group, int | str) else number
        labels[key] = _joined(labels[key], label) if key in labels else label
    return tuple(labels.values())


def _label(shape: Any, where: str, notes: Notes) -> Label | None:
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
        raise UserError(f"{where}: is no object with a 'label'")
    class_name = _checked_class(shape["label"], where)
    where = f"{where} ({class_name})"
    kind = shape.get("shape_type", "polygon")  # which old files leave out
    if not isinstance(kind, str) or kind not in _FEWEST_POINTS:
        notes.add(NO_REGION, where)
        return None
    points = shape.get("points")
    if not isinstance(points, list) or not all(_is_point(point) for point in points):
        raise UserError(f"{where}: 'points' is no list of pairs of finite numbers")
    if len(points) < _FEWEST_POINTS[kind]:
        few = f"has {len(points)} point(s), a {kind} has {_FEWEST_POINTS[kind]} or more"
        raise UserError(f"{where}: {few}")
    if kind == "circle":  # its centre, and a point on it
        (x, y), edge = points[:2]
        radius = math.dist((x, y), edge)
        return Label(where, class_name, (x - radius, y - radius, x + radius, y + radius))
    xs, ys = [float(x) for x, _ in points], [float(y) for _, y in points]
    box: Corners = (min(xs), min(ys), max(xs), max(ys))
    outline = tuple(value for point in zip(xs, ys, strict=True) for value in point)
    return Label(where, class_name, box, (outline,) if kind == "polygon" else ())


def _joined(first: Label, second: Label) -> Label:
    """Returns one object of two parts; an outline is kept where both have one."""
    low = [min(a, b) for a, b in zip(first.box[:2], second.box[:2], strict=True)]
    high = [max(a, b) for a, b in zip(first.box[2:], second.box[2:], strict=True)]
    both = bool(first.polygons and second.polygons)
    polygons = (*first.polygons, *second.polygons) if both else ()
    return Label(first.where, first.class_name, (low[0], low[1], high[0], high[1]), polygons)


def _is_point(point: Any) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2
        and all(type(value) in (int, float) and abs(value) < _FAR for value in point)
    )


def _size(content: dict[str, Any]) -> tuple[int, int] | None:
    sides = content.get("imageWidth"), content.get("imageHeight")
    if all(type(side) is int and side > 0 for side in sides):
        return sides  # pyright: ignore[reportReturnType]
    return None
