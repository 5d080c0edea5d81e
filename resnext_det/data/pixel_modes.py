"""Pixels of every mode that Pillow has, as 8-bit RGB. Engine-neutral."""

import numpy as np
from PIL import Image

from resnext_det.data.opened_image import UnreadableImage

_LARGEST_16_BIT = 65535


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts a decoded image to 8-bit RGB, as Pillow does, but 16 bits by scaling.

    Pillow's own conversion clips: whatever is brighter than 255 of 65535 becomes white. The
    colours of transparent pixels are kept, as torchvision's folders do.

    Raises:
        UnreadableImage: its numbers have no known range: 32-bit integers, floats.
    """
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.mode == "F":
        raise UnreadableImage("its pixels are floating-point numbers, of which no range is known")
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scales gray levels 0–65535 to 0–255, to the nearest."""
    levels = np.asarray(image)
    if levels.min() < 0 or levels.max() > _LARGEST_16_BIT:
        raise UnreadableImage("its pixels are 32-bit integers, of which no range is known")
    scaled = (levels.astype(np.uint32) * 255 + _LARGEST_16_BIT // 2) // _LARGEST_16_BIT
    return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
