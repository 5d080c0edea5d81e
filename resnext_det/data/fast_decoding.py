"""Decoding of JPEGs for a view: fewer rows, scaled, resized with SIMD. Engine-neutral.

Where the image is not scaled, the decoded pixels are the exact decoder's, and resizing rounds
otherwise: by two levels at most, one for 99.99 % of any view (bilinear); by three or fewer
for 99.5 % of any view (bicubic, where single pixels are off by up to 18 on photographs: some
versions of Pillow resize columns first where that is quicker, and a sum beyond 0–255 is cut off
between the two passes). Where the part has at least `_KEPT` times the rows and columns of its
view for every halving, libjpeg halves the image in its cosine transform, which weighs pixels a
little otherwise: by 0.4 levels on average on photographs, below 7 for 98 % of any view.
Whatever is odd about a file, Pillow decodes it or says why it cannot.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from resnext_det.data.exact_decoding import ExactDecoder, ExactImage
from resnext_det.data.exif import SIDEWAYS
from resnext_det.data.jpeg_parts import (
    BrokenJpeg,
    JpegFrame,
    decode_rows,
    read_frame,
    read_plain_frame,
    rows_needed,
)
from resnext_det.data.opened_image import (
    Color,
    OpenedImage,
    Pixels,
    check_image_size,
    check_view,
    cut_windows,
)
from resnext_det.data.resizing import resize_pixels
from resnext_det.data.upright import box_before_turn, turn_pixels
from resnext_det.data.views import Box, View

_KEPT = 2.0
"""How many times the view's rows and columns are kept when an image is scaled while decoded."""

_MODES = {Image.Resampling.BILINEAR: "bilinear", Image.Resampling.BICUBIC: "bicubic"}


class FastDecoder:
    """Decodes JPEGs with libjpeg-turbo as far as a view needs, everything else with Pillow."""

    def __init__(self, exact: ExactDecoder) -> None:
        """Takes the decoder of all other files, and its filter."""
        self._exact = exact

    def open(self, data: bytes) -> OpenedImage:
        """Reads the header of an image file, whatever its format.

        Raises:
            UnreadableImage: it is no image, or it claims too many pixels.
        """
        frame = read_plain_frame(data)
        if frame is not None:
            check_image_size(frame.height, frame.width)
            return FastImage(data, self._exact, frame, None)
        exact = self._exact.open(data)
        image = exact.image
        if image.format != "JPEG" or image.mode not in ("RGB", "L"):
            return exact
        frame = read_frame(data, image.height, image.width)
        return FastImage(data, self._exact, frame, exact.rotation)


@dataclass(frozen=True)
class FastImage:
    """A JPEG of which a view can be decoded.

    Attributes:
        data: the file.
        decoder: for where something is odd.
        frame: what its headers say; the sizes are those before it is put upright.
        rotation: what puts it upright.
    """

    data: bytes
    decoder: ExactDecoder
    frame: JpegFrame
    rotation: Image.Transpose | None

    @property
    def height(self) -> int:
        """Height in pixels of the upright image."""
        return self.frame.width if self.rotation in SIDEWAYS else self.frame.height

    @property
    def width(self) -> int:
        """Width in pixels of the upright image."""
        return self.frame.height if self.rotation in SIDEWAYS else self.frame.width

    @property
    def exact(self) -> ExactImage:
        """The same image, opened by Pillow.

        Raises:
            UnreadableImage: Pillow refuses it.
        """
        return self.decoder.open(self.data)

    def render(self, view: View, fill: Color = (0, 0, 0)) -> Pixels:
        """Decodes what a view needs and returns its windows, (V, h, w, 3) uint8 RGB.

        Raises:
            UnreadableImage: the pixels are broken or cut off, or the view is too large.
        """
        check_view(view)
        try:
            resized = self._resized(view)
        except BrokenJpeg:
            return self.exact.render(view, fill)
        return cut_windows(resized, view, fill)

    def _resized(self, view: View) -> Pixels:
        """Returns the resized part, (H, W, 3)."""
        rotation, resample = self.rotation, self.decoder.resample
        part = box_before_turn(view.part, rotation, self.height, self.width)
        scale = scale_for(view)
        rows = rows_needed(self.frame, part.top + part.height, scale)
        pixels = decode_rows(self.data, self.frame, rows, scale)
        cut, box = _cut(pixels, part, scale)
        if scale == 1:
            return resize_pixels(turn_pixels(cut, rotation), view.resized, _MODES[resample])
        high, wide = view.resized if rotation not in SIDEWAYS else view.resized[::-1]
        # Pillow's box may end between pixels.
        resized = Image.fromarray(cut).resize((wide, high), resample, box)
        return turn_pixels(np.asarray(resized), rotation)


def scale_for(view: View) -> int:
    """Returns by how much an image is reduced while it is decoded: 1, 2, 4 or 8."""
    kept = min(
        view.part.height / (_KEPT * view.resized[0]), view.part.width / (_KEPT * view.resized[1])
    )
    return max(scale for scale in (1, 2, 4, 8) if scale == 1 or scale <= kept)


def _cut(pixels: Pixels, part: Box, scale: int) -> tuple[Pixels, tuple[float, float, float, float]]:
    """Cuts out the pixels that a part touches, and says where in them it lies: x0, y0, x1, y1."""
    top, left = part.top // scale, part.left // scale
    bottom = -(-(part.top + part.height) // scale)
    right = -(-(part.left + part.width) // scale)
    box = (
        part.left / scale - left,
        part.top / scale - top,
        (part.left + part.width) / scale - left,
        (part.top + part.height) / scale - top,
    )
    return pixels[top:bottom, left:right], box
