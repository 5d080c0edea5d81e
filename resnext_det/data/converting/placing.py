"""Labels beside the photograph that they are of: COCO's annotations of it. Engine-neutral.

COCO's coordinates are those of the image as it is seen, turned by its EXIF block, and so are those
of most tools. Where the size that a file of labels states is that of the image as it is stored,
its labels were drawn on that, and are turned.
"""

from collections.abc import Sequence
from typing import Any

from resnext_det.data.converting.labels import Corners, Label, LabelledImage, Notes
from resnext_det.data.image_files import ImageHeader
from resnext_det.data.upright import point_after_turn
from resnext_det.errors import UserError

CUT = "box(es) reach beyond their image, and are cut at its edge"
OUTSIDE = "box(es) lie wholly outside their image, and are left out"
FLAT = "box(es) have no area, and are left out"
TURNED = "image(s) were labelled as they are stored; their labels are turned by their EXIF block"
_ROUNDING = 1.0
"""Pixels by which a box may reach beyond its image without a word, as for `dataset check`."""
_DIGITS = 3  # a thousandth of a pixel; shares of a side are not exact in decimals


def annotations_of(image: LabelledImage, header: ImageHeader, notes: Notes) -> list[dict[str, Any]]:
    """Returns annotations without ids: `bbox`, `area`, `iscrowd`, `class_name`, `segmentation`.

    Args:
        image: its labels.
        header: of its file.
        notes: takes what was mended or left out.

    Raises:
        UserError: the labels were made for an image of another size.
    """
    is_turned = _is_to_be_turned(image, header)
    if is_turned:
        notes.add(TURNED, image.file)
    placed = []
    for label in image.labels:
        box, polygons = label.box, label.polygons
        if image.in_shares:
            box = _scaled(box, header)
            polygons = tuple(tuple(_scaled(polygon, header)) for polygon in polygons)
        if is_turned:
            box, polygons = _turned(box, header), tuple(_turn(p, header) for p in polygons)
        inside = _inside(box, header, label, notes)
        if inside is not None:
            placed.append(_annotation(label, inside, polygons))
    return placed


def _is_to_be_turned(image: LabelledImage, header: ImageHeader) -> bool:
    if image.stated in (None, (header.width, header.height)):
        return False
    assert image.stated is not None
    holds_masks = any(label.kept for label in image.labels)
    if header.is_sideways and image.stated == (header.height, header.width) and not holds_masks:
        return True
    raise UserError(
        f"{image.file}: says {image.stated[0]}x{image.stated[1]}, but {image.name} is "
        f"{header.width}x{header.height} (width x height, after EXIF rotation): was it resized "
        "after it was labelled? Put the labelled image in its place"
    )


def _scaled(shares: Sequence[float], header: ImageHeader) -> Any:
    sides = header.width, header.height
    return tuple(share * sides[number % 2] for number, share in enumerate(shares))


def _turn(points: Sequence[float], header: ImageHeader) -> tuple[float, ...]:
    pairs = zip(points[::2], points[1::2], strict=True)
    turned = (
        point_after_turn(x, y, header.rotation, header.height, header.width) for x, y in pairs
    )
    return tuple(value for point in turned for value in point)


def _turned(box: Corners, header: ImageHeader) -> Corners:
    x0, y0, x1, y1 = _turn(box, header)
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _inside(box: Corners, header: ImageHeader, label: Label, notes: Notes) -> Corners | None:
    """Returns the part of a box that lies in the image; None where there is none."""
    width, height = header.width, header.height
    x0, y0, x1, y1 = box
    if x1 <= x0 or y1 <= y0:
        notes.add(FLAT, label.where)
        return None
    cut = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    x0, y0, x1, y1 = (round(value, _DIGITS) for value in cut)
    if x1 <= x0 or y1 <= y0:
        notes.add(OUTSIDE if cut != box else FLAT, label.where)
        return None
    if max(abs(a - b) for a, b in zip(cut, box, strict=True)) > _ROUNDING:
        notes.add(CUT, label.where)
    return x0, y0, x1, y1


def _annotation(label: Label, box: Corners, polygons: Sequence[Sequence[float]]) -> dict[str, Any]:
    x0, y0, x1, y1 = box
    width, height = round(x1 - x0, _DIGITS), round(y1 - y0, _DIGITS)
    area = sum(map(_area, polygons)) if polygons else width * height
    annotation: dict[str, Any] = {
        "class_name": label.class_name,
        "bbox": [x0, y0, width, height],
        "area": round(area, _DIGITS),
        "iscrowd": int(label.is_crowd),
    }
    if polygons:
        rounded = [[round(value, _DIGITS) for value in polygon] for polygon in polygons]
        annotation["segmentation"] = rounded
    return {**annotation, **label.kept}


def _area(polygon: Sequence[float]) -> float:
    """The shoelace formula."""
    xs, ys = polygon[::2], polygon[1::2]
    following = zip(xs, ys, (*xs[1:], xs[0]), (*ys[1:], ys[0]), strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for x0, y0, x1, y1 in following)) / 2
