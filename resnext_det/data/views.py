"""What a classifier sees of an image: which part, at which size. Engine-neutral.

A view is arithmetic on sizes alone, so a decoder can know, before it decodes, which pixels it
needs.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle in whole pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class View:
    """A part of an image, resized, and of that a window.

    Attributes:
        part: what is cut out of the upright image, inside it.
        resized: (height, width) that the part is resized to.
        windows: what is taken of the resized part, each a picture of its own (one, or the ten of
            ten-crop), all of one size; where a window hangs over, zeros are put.
        flipped: whether each window's picture is mirrored left to right.
    """

    part: Box
    resized: tuple[int, int]
    windows: tuple[Box, ...]
    flipped: tuple[bool, ...]
