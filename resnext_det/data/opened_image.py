"""What every decoder of classification images promises, and what it refuses. Engine-neutral."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.views import View

Pixels = NDArray[np.uint8]
Color = tuple[int, int, int]

MAX_PIXELS = 2**26
"""Pixels of the largest image, and of the largest resized view, that are held in memory.

An image of it takes 256 MiB in Pillow; ImageNet's largest has half as many.
"""


class UnreadableImage(ValueError):
    """An image that cannot be decoded; the message is one line and does not name the file."""


class OpenedImage(Protocol):
    """An image whose header has been read."""

    @property
    def height(self) -> int:
        """Height in pixels of the upright image."""
        ...

    @property
    def width(self) -> int:
        """Width in pixels of the upright image."""
        ...

    def render(self, view: View, fill: Color = (0, 0, 0)) -> Pixels:
        """Decodes what a view needs.

        Args:
            view: its part lies inside the image; all its windows have one size.
            fill: RGB of what a window shows beyond the resized part.

        Returns:
            (V, h, w, 3) uint8 RGB: the V windows.

        Raises:
            UnreadableImage: the pixels are broken or cut off, or the view is too large.
        """
        ...


class Decoder(Protocol):
    """Opens encoded images."""

    def open(self, data: bytes) -> OpenedImage:
        """Reads the header of an image file, whatever its format.

        Raises:
            UnreadableImage: it is no image, or it claims too many pixels.
        """
        ...


def check_image_size(height: int, width: int) -> None:
    """Checks, before anything is decoded, the size that a header claims.

    Raises:
        UnreadableImage: it is more than MAX_PIXELS.
    """
    if height < 1 or width < 1:
        raise UnreadableImage(f"its header claims {width}x{height} pixels")
    if height * width > MAX_PIXELS:
        raise UnreadableImage(
            f"its header claims {width}x{height} pixels; at most {MAX_PIXELS:,} are decoded"
        )


def check_view(view: View) -> None:
    """Checks the size of a view, before anything is decoded.

    Raises:
        UnreadableImage: the resized part has more than MAX_PIXELS, as of an image that is
            a few pixels high and thousands wide.
    """
    height, width = view.resized
    if height * width > MAX_PIXELS:
        raise UnreadableImage(
            f"{view.part.width}x{view.part.height} pixels of it would be resized to "
            f"{width}x{height}; at most {MAX_PIXELS:,} are made"
        )


def cut_windows(resized: Pixels, view: View, fill: Color) -> Pixels:
    """Takes a view's windows out of its resized part.

    Args:
        resized: (H, W, 3) uint8.
        view: says where the windows lie, and which are mirrored.
        fill: the colour of what lies beyond the part.

    Returns:
        (V, h, w, 3) uint8.
    """
    height, width = view.windows[0].height, view.windows[0].width
    pictures = np.empty((len(view.windows), height, width, 3), np.uint8)
    for picture, window, flipped in zip(pictures, view.windows, view.flipped, strict=True):
        rows, from_rows = overlap(window.top, height, resized.shape[0])
        columns, from_columns = overlap(window.left, width, resized.shape[1])
        if (rows.stop - rows.start, columns.stop - columns.start) != (height, width):
            picture[:] = fill
        if not flipped:
            picture[rows, columns] = resized[from_rows, from_columns]
            continue
        for channel in range(3):  # NumPy copies reversed pixels of three bytes four times slower
            mirrored = picture[:, ::-1, channel]
            mirrored[rows, columns] = resized[from_rows, from_columns, channel]
    return pictures


def overlap(start: int, length: int, limit: int) -> tuple[slice, slice]:
    """Returns the places within a window that a line of pixels covers, and which pixels those."""
    first, last = max(start, 0), min(start + length, limit)
    last = max(first, last)
    low = min(first - start, length)
    return slice(low, low + last - first), slice(first, last)
