"""Sample images with named boxes, as data addresses for a page. Engine-neutral."""

import base64
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

_TRUTH_COLOR = "#56b4e9"
_FOUND_COLOR = "#e69f00"
_SIDE = 384  # pixels of the longer side in the page: sharp on a phone, small in the file


@dataclass(frozen=True)
class NamedBox:
    """One box to draw.

    Attributes:
        box: x, y, w, h in pixels of the image on disk.
        text: what stands above it.
    """

    box: tuple[float, float, float, float]
    text: str


@dataclass(frozen=True)
class Picture:
    """One image of a page.

    Attributes:
        address: a data: address.
        caption: what stands below it.
    """

    address: str
    caption: str


def sample_pictures(
    ground_truth: Mapping[str, Any],
    images: Path,
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    count: int = 4,
    score_thresh: float = 0.5,
) -> list[list[Picture]]:
    """Draws ground truth and each model's boxes on evenly spaced images that have boxes.

    Args:
        ground_truth: COCO annotation content.
        images: folder of the images.
        results: model label -> COCO result records.
        count: how many images.
        score_thresh: boxes scored below it are not drawn.

    Returns:
        Per image: the ground truth's picture, then one per model.
    """
    names = {category["id"]: str(category["name"]) for category in ground_truth["categories"]}
    truth = _by_image(ground_truth["annotations"])
    found = {label: _by_image(records) for label, records in results.items()}
    candidates = [image for image in ground_truth["images"] if truth.get(image["id"])]
    step = max(1, len(candidates) // max(1, count))
    rows = []
    for entry in candidates[::step][:count]:
        with Image.open(images / entry["file_name"]) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
        key = entry["id"]
        boxes = [NamedBox(tuple(a["bbox"]), names[a["category_id"]]) for a in truth[key]]
        row = [Picture(draw(image, boxes, _TRUTH_COLOR), "ground truth")]
        for label, records in found.items():
            kept = [r for r in records.get(key, []) if r["score"] >= score_thresh]
            boxes = [
                NamedBox(tuple(r["bbox"]), f"{names[r['category_id']]} {100 * r['score']:.0f}%")
                for r in kept
            ]
            row.append(Picture(draw(image, boxes, _FOUND_COLOR), label))
        rows.append(row)
    return rows


def draw(image: Image.Image, boxes: Sequence[NamedBox], color: str) -> str:
    """Draws boxes on an enlarged or reduced copy of an image.

    Args:
        image: RGB.
        boxes: in pixels of `image`; may be empty.
        color: of the lines and the grounds of the names.

    Returns:
        A data: address of a JPEG whose longer side is 384 pixels.
    """
    scale = _SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = image.resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=15)
    for named in boxes:
        x, y, width, height = (side * scale for side in named.box)
        corner = (max(x + 1, x + width), max(y + 1, y + height))
        halo = [(x - 1, y - 1), (corner[0] + 1, corner[1] + 1)]
        pen.rectangle(halo, outline="black", width=5)  # told apart from bright clutter
        pen.rectangle([(x, y), corner], outline=color, width=3)
    for named in boxes:  # after all lines, so that no line crosses a name
        _write_name(pen, font, named, scale, color, size)
    file = io.BytesIO()
    canvas.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _write_name(
    pen: ImageDraw.ImageDraw,
    font: Any,
    named: NamedBox,
    scale: float,
    color: str,
    size: tuple[int, int],
) -> None:
    """Writes a name on a ground of its box's colour, above the box and inside the picture."""
    _, top, text_width, bottom = pen.textbbox((0, 0), named.text, font=font)
    height = bottom - top + 6
    x = min(max(0, named.box[0] * scale), max(0, size[0] - text_width - 6))
    y = max(0, named.box[1] * scale - height)
    pen.rectangle([(x, y), (x + text_width + 6, y + height)], fill=color)
    pen.text((x + 3, y + 3 - top), named.text, fill="black", font=font)


def _by_image(records: Sequence[Mapping[str, Any]]) -> dict[Any, list[Mapping[str, Any]]]:
    grouped: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        grouped[record["image_id"]].append(record)
    return grouped
