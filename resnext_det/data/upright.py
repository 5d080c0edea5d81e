"""Pixels and boxes of images that their EXIF block tells to turn. Engine-neutral."""

import numpy as np
from PIL import Image

from resnext_det.data.opened_image import Pixels
from resnext_det.data.views import Box

_Turn = tuple[bool, bool, bool]
"""Whether rows and columns change places; after that, whether rows and columns are reversed."""

_TURNS: dict[Image.Transpose | None, _Turn] = {
    None: (False, False, False),
    Image.Transpose.FLIP_LEFT_RIGHT: (False, False, True),
    Image.Transpose.ROTATE_180: (False, True, True),
    Image.Transpose.FLIP_TOP_BOTTOM: (False, True, False),
    Image.Transpose.TRANSPOSE: (True, False, False),
    Image.Transpose.ROTATE_270: (True, False, True),
    Image.Transpose.TRANSVERSE: (True, True, True),
    Image.Transpose.ROTATE_90: (True, True, False),
}


def turn_pixels(pixels: Pixels, rotation: Image.Transpose | None) -> Pixels:
    """Does to (H, W, 3) pixels what Pillow's `transpose` does to an image."""
    if rotation is None:
        return pixels
    sideways, rows, columns = _TURNS[rotation]
    turned = pixels.transpose(1, 0, 2) if sideways else pixels
    turned = turned[::-1] if rows else turned
    return np.ascontiguousarray(turned[:, ::-1] if columns else turned)


def box_before_turn(box: Box, rotation: Image.Transpose | None, height: int, width: int) -> Box:
    """Returns where a box lay before the image was turned.

    Args:
        box: in the upright image.
        rotation: what put it upright.
        height: rows of the upright image.
        width: columns of the upright image.
    """
    sideways, rows, columns = _TURNS[rotation]
    top = height - box.top - box.height if rows else box.top
    left = width - box.left - box.width if columns else box.left
    if sideways:
        return Box(left, top, box.width, box.height)
    return Box(top, left, box.height, box.width)


def point_after_turn(
    x: float, y: float, rotation: Image.Transpose | None, height: int, width: int
) -> tuple[float, float]:
    """Returns where a point of the image as it is stored lies in the upright one.

    Args:
        x: from the left edge, in pixels; edges are at 0 and at the width.
        y: from the upper edge.
        rotation: what puts the image upright.
        height: rows of the upright image.
        width: columns of the upright image.
    """
    sideways, rows, columns = _TURNS[rotation]
    x, y = (y, x) if sideways else (x, y)
    return (width - x if columns else x), (height - y if rows else y)
