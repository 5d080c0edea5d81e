"""Image files as a detector reads them: upright, 8 bits, and bounded. Engine-neutral.

Pixels are those of Detectron2's `read_image` (data/detection_utils.py), but for TIFFs with an
orientation: Pillow puts these upright while it decodes them, and Detectron2 then turns them once
more. Of 16 bits it takes what is above 255 for white, and so is it here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image

from resnext_det.data.exif import (
    SIDEWAYS,
    TURNED_BY_PILLOW,
    has_late_block,
    rotation_left,
    stated_rotation,
)
from resnext_det.data.opened_image import Pixels
from resnext_det.data.pillow_opening import open_still, readable
from resnext_det.data.plain_files import file_faults, open_image_file
from resnext_det.errors import UserError


@dataclass(frozen=True)
class ImageHeader:
    """What is known of an image before its pixels are decoded.

    Attributes:
        height: rows of the upright image.
        width: columns of the upright image.
        rotation: what its EXIF block turns or mirrors what is stored by; None: it does not.
        format: Pillow's name.
        mode: Pillow's name of what a pixel is, such as "RGB" or "I;16".
    """

    height: int
    width: int
    rotation: Image.Transpose | None
    format: str
    mode: str

    @property
    def is_turned(self) -> bool:
        """Whether it is seen otherwise than it is stored."""
        return self.rotation is not None

    @property
    def is_sideways(self) -> bool:
        """Whether rows of what is stored are columns of what is seen."""
        return self.rotation in SIDEWAYS


def read_image(path: str, pixel_format: str) -> Pixels:
    """Reads an image file upright, whatever its mode.

    Args:
        path: the file.
        pixel_format: "RGB" or "BGR", as `INPUT.FORMAT`.

    Returns:
        (H, W, 3) uint8.

    Raises:
        UnreadableImage: it is broken, cut off, too large, or no image.
        UserError: it is missing, or its disk fails.
    """
    check_pixel_format(pixel_format)
    pixels = np.asarray(open_rgb(path))
    return pixels[:, :, ::-1] if pixel_format == "BGR" else pixels


def open_rgb(path: str) -> Image.Image:
    """Decodes an image file to RGB with its EXIF orientation applied; see `read_image`."""
    with opened(path) as image:
        rotation = rotation_left(image, looks_behind=True)
        upright = image if rotation is None else image.transpose(rotation)
        return upright.convert("RGB")


def read_header(path: str) -> ImageHeader:
    """Reads what an image's header says of it.

    A PNG that says which way up it is behind its pixels only is decoded; there are few.

    Raises:
        UnreadableImage: it is no image, or claims too many pixels.
        UserError: it is missing, or its disk fails.
    """
    with opened(path) as image:
        behind = image.format == "PNG" and "exif" not in image.info and _says_so_behind(image)
        rotation = stated_rotation(image, looks_behind=behind)
        # Pillow swaps the sides of a TIFF that lies on its side before it is decoded.
        is_swapped = rotation in SIDEWAYS and image.format != TURNED_BY_PILLOW
        width, height = image.size[::-1] if is_swapped else image.size
        assert image.format is not None
        return ImageHeader(height, width, rotation, image.format, image.mode)


@contextmanager
def opened(path: str) -> Iterator[Image.Image]:
    """Opens an image file as it is stored; whatever goes wrong with it in the body is told.

    Raises:
        UnreadableImage: it is broken, too large, or no image.
        UserError: it is missing, or its disk fails.
    """
    with file_faults(path), open_image_file(path) as file, readable():
        yield open_still(file)


def _says_so_behind(image: Image.Image) -> bool:
    """Looks behind a PNG's pixels, and leaves its file where it was."""
    file = getattr(image, "fp", None)
    if file is None:
        return False
    place = file.tell()
    found = has_late_block(file)
    file.seek(place)
    return found


def check_pixel_format(pixel_format: str) -> None:
    """Checks `INPUT.FORMAT`.

    Raises:
        UserError: it is neither RGB nor BGR.
    """
    if pixel_format not in ("RGB", "BGR"):
        raise UserError(f"INPUT.FORMAT '{pixel_format}' is not supported; use RGB or BGR")
