"""Decoding with Pillow, to the bit as torchvision's PIL transforms do. Engine-neutral."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from resnext_det.data.exif import SIDEWAYS, rotation_left
from resnext_det.data.opened_image import (
    Color,
    Pixels,
    check_view,
    cut_windows,
)
from resnext_det.data.pillow_opening import open_still, readable
from resnext_det.data.pixel_modes import to_rgb
from resnext_det.data.views import View


class ExactDecoder:
    """Decodes whole images with Pillow, then crops, resizes with antialiasing, crops again."""

    def __init__(self, resample: Image.Resampling) -> None:
        """Takes Pillow's filter."""
        self.resample = resample

    def open(self, data: bytes) -> "ExactImage":
        """Reads the header of an image file, whatever its format.

        Raises:
            UnreadableImage: it is no image, or it claims too many pixels.
        """
        with readable():
            image = open_still(BytesIO(data))
            # Few PNGs have a block behind their pixels, which are decoded to reach it.
            rotation = rotation_left(image, looks_behind=b"eXIf" in data)
            return ExactImage(image, rotation, self.resample)


@dataclass(frozen=True)
class ExactImage:
    """An image that Pillow has opened.

    Attributes:
        image: not decoded yet.
        rotation: what puts it upright.
        resample: Pillow's filter.
    """

    image: Image.Image
    rotation: Image.Transpose | None
    resample: Image.Resampling

    @property
    def height(self) -> int:
        """Height in pixels of the upright image."""
        return self.image.width if self.rotation in SIDEWAYS else self.image.height

    @property
    def width(self) -> int:
        """Width in pixels of the upright image."""
        return self.image.height if self.rotation in SIDEWAYS else self.image.width

    def render(self, view: View, fill: Color = (0, 0, 0)) -> Pixels:
        """Decodes the image and returns a view's windows, (V, h, w, 3) uint8 RGB.

        Raises:
            UnreadableImage: the pixels are broken or cut off, or the view is too large.
        """
        check_view(view)
        top, left, height, width = view.part
        # The crop comes before the resizing, whose filter else looks over the part's edges.
        part = self.decode().crop((left, top, left + width, top + height))
        high, wide = view.resized
        resized = part.resize((wide, high), self.resample)
        return cut_windows(np.asarray(resized), view, fill)

    def decode(self) -> Image.Image:
        """Decodes the whole image, upright and RGB.

        Raises:
            UnreadableImage: the pixels are broken or cut off.
        """
        with readable():
            self.image.load()
            upright = to_rgb(self.image)
            return upright if self.rotation is None else upright.transpose(self.rotation)
