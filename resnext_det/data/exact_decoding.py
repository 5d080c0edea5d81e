"""Decoding with Pillow, to the bit as torchvision's PIL transforms do. Engine-neutral."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from resnext_det.data.opened_image import (
    Color,
    Pixels,
    UnreadableImage,
    check_image_size,
    check_view,
    cut_windows,
)
from resnext_det.data.pixel_modes import to_rgb
from resnext_det.data.transforms import SIDEWAYS, exif_rotation
from resnext_det.data.views import View

# Formats of still pictures. Pillow knows others, some of which start a program (EPS).
_FORMATS = [
    "JPEG",
    "PNG",
    "GIF",
    "BMP",
    "PPM",
    "WEBP",
    "TIFF",
    "MPO",
    "JPEG2000",
    "AVIF",
    "ICO",
    "TGA",
    "PCX",
    "QOI",
    "DIB",
]


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
        if not data:
            raise UnreadableImage("the file is empty")
        with readable():
            image = Image.open(BytesIO(data), formats=_known_formats())
            check_image_size(image.height, image.width)
            return ExactImage(image, _rotation(image, data), self.resample)


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


@contextmanager
def readable() -> Iterator[None]:
    """Says in one line whatever goes wrong while Pillow reads, and silences its warnings.

    Sizes are checked here, a broken EXIF block does no harm, and one warning for each odd image
    would flood a log.

    Raises:
        UnreadableImage: anything went wrong.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnreadableImage:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImage("not an image in a format that can be read") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImage("its header claims far too many pixels") from error
    # Pillow's decoders raise whatever the damage makes them stumble on.
    except Exception as error:
        raise UnreadableImage(" ".join(str(error).split()) or type(error).__name__) from error


@cache
def _known_formats() -> list[str]:
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _rotation(image: Image.Image, data: bytes) -> Image.Transpose | None:
    if image.format == "TIFF":
        return None  # Pillow puts these upright itself while it decodes
    # PNG's own getexif decodes the pixels to look behind them; few files have a block there.
    if image.format == "PNG" and b"eXIf" not in data:
        return exif_rotation(image, Image.Image.getexif)
    return exif_rotation(image, type(image).getexif)
