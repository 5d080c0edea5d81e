"""Named boxes drawn on an image. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw, ImageFont

TRUTH_COLOR = "#56b4e9"
FOUND_COLOR = "#e69f00"
SIDE = 384  # pixels of the longer side: sharp on a phone, small in a file


@dataclass(frozen=True)
class NamedBox:
    """One box to draw.

    Attributes:
        box: x, y, w, h in pixels of the image on disk.
        text: what stands above it.
    """

    box: tuple[float, float, float, float]
    text: str


def draw_boxes(image: Image.Image, boxes: Sequence[NamedBox], color: str) -> Image.Image:
    """Draws boxes on an enlarged or reduced copy of an image.

    Args:
        image: RGB.
        boxes: in pixels of `image`; may be empty.
        color: of the lines and the grounds of the names.

    Returns:
        An RGB image whose longer side is 384 pixels.
    """
    scale = SIDE / max(image.size)
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
    return canvas


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
