"""Named boxes drawn on an image. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from resnext_det.evaluation.name_places import Area, free_area

TRUTH_COLOR = "#56b4e9"
FOUND_COLOR = "#e69f00"
CLASS_COLORS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#999999")
"""Told apart by everybody (Okabe and Ito, Color Universal Design), light enough for black text."""
SIDE = 384  # pixels of the longer side: sharp on a phone, small in a file
_ONE_TO_ONE = 800  # pixels of the longer side up to which lines and names are not enlarged


@dataclass(frozen=True)
class NamedBox:
    """One box to draw.

    Attributes:
        box: x, y, w, h in pixels of the image on disk.
        text: what stands above it.
    """

    box: tuple[float, float, float, float]
    text: str


def draw_classes(
    image: Image.Image, boxes: Sequence[NamedBox], classes: Sequence[int]
) -> Image.Image:
    """Draws boxes on a copy of an image, each class in its colour; the size stays.

    Args:
        image: RGB.
        boxes: in pixels of `image`; may be empty. Later ones lie above earlier ones, and where
            there is no room for all names, theirs are written.
        classes: of each box.
    """
    canvas = image.copy()
    pen = ImageDraw.Draw(canvas)
    enlarged = max(1.0, max(image.size) / _ONE_TO_ONE)
    font = ImageFont.load_default(size=round(15 * enlarged))
    colors = [CLASS_COLORS[label % len(CLASS_COLORS)] for label in classes]
    for named, color in zip(boxes, colors, strict=True):
        _draw_lines(pen, named, 1.0, color, round(2 * enlarged))
    names = _Names(pen, font, image.size)
    for named, color in zip(reversed(boxes), reversed(colors), strict=True):
        names.write(named, 1.0, color)
    return canvas


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
        _draw_lines(pen, named, scale, color, 3)
    names = _Names(pen, font, size)
    for named in boxes:  # after all lines, so that no line crosses a name
        names.write(named, scale, color)
    return canvas


def _draw_lines(
    pen: ImageDraw.ImageDraw, named: NamedBox, scale: float, color: str, width: int
) -> None:
    x, y, w, h = (side * scale for side in named.box)
    corner = (max(x + 1, x + w), max(y + 1, y + h))
    halo = [(x - 1, y - 1), (corner[0] + 1, corner[1] + 1)]
    pen.rectangle(halo, outline="black", width=width + 2)  # told apart from bright clutter
    pen.rectangle([(x, y), corner], outline=color, width=width)


class _Names:
    """Writes names on grounds of their boxes' colours, none over another."""

    def __init__(self, pen: ImageDraw.ImageDraw, font: Any, size: tuple[int, int]) -> None:
        self._pen, self._font, self._size = pen, font, size
        self._taken: list[Area] = []

    def write(self, named: NamedBox, scale: float, color: str) -> None:
        """Writes a name at its box, inside the picture; leaves it out where there is no room."""
        if not named.text:
            return
        _, top, text_width, bottom = self._pen.textbbox((0, 0), named.text, font=self._font)
        x, y, w, h = (side * scale for side in named.box)
        room = free_area((x, y, w, h), (text_width + 6, bottom - top + 6), self._size, self._taken)
        if room is None:
            return
        self._taken.append(room)
        left, upper, width, height = room
        self._pen.rectangle([(left, upper), (left + width, upper + height)], fill=color)
        self._pen.text((left + 3, upper + 3 - top), named.text, fill="black", font=self._font)
