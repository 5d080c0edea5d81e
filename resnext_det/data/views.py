"""What a classifier sees of an image: which part, at which size. Engine-neutral.

A view is arithmetic on sizes alone, so a decoder can know, before it decodes, which pixels it
needs. Evaluation's views are torchvision's: `Resize`, then `CenterCrop` or `TenCrop`.
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
            ten-crop), all of one size; where a window hangs over, the decoder's fill is put.
        flipped: whether each window's picture is mirrored left to right.
    """

    part: Box
    resized: tuple[int, int]
    windows: tuple[Box, ...]
    flipped: tuple[bool, ...]


def part_view(part: Box, size: int, flipped: bool = False) -> View:
    """Returns the view of a part of an image, resized to size x size pixels."""
    return View(part, (size, size), (Box(0, 0, size, size),), (flipped,))


def padded_view(
    height: int, width: int, *, window: Box, padding: int, flipped: bool = False
) -> View:
    """Returns the view of a place in a padded image, which is not resized.

    Args:
        height: of the image.
        width: of the image.
        window: in pixels of the padded image.
        padding: px on each side.
        flipped: whether the picture is mirrored.
    """
    top, left, *size = window
    inside = Box(top - padding, left - padding, *size)
    return View(Box(0, 0, height, width), (height, width), (inside,), (flipped,))


@dataclass(frozen=True)
class TestView:
    """What evaluation sees of an image.

    Attributes:
        resize: px of the short side.
        crop: px of the square that is taken of it.
        ten_crop: the four corners and the centre, and those of the mirrored image, in the order
            of torchvision's `TenCrop`, instead of the centre alone.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    resize: int
    crop: int
    ten_crop: bool = False

    def __post_init__(self) -> None:
        assert min(self.resize, self.crop) >= 1
        assert self.crop <= self.resize or not self.ten_crop, "there would be no corners"

    @property
    def num_windows(self) -> int:
        """V, the pictures of each image."""
        return 10 if self.ten_crop else 1

    def of(self, height: int, width: int) -> View:
        """Returns the view of an image of this size."""
        resized = resized_short_side(height, width, self.resize)
        centre = centre_window(resized, self.crop)
        whole = Box(0, 0, height, width)
        if not self.ten_crop:
            return View(whole, resized, (centre,), (False,))
        corners = _corner_windows(resized, self.crop)
        # The mirror image's windows, where they are in the image itself.
        mirrored = [_mirrored(box, resized[1]) for box in (*corners, centre)]
        return View(whole, resized, (*corners, centre, *mirrored), (*[False] * 5, *[True] * 5))


def resized_short_side(height: int, width: int, size: int) -> tuple[int, int]:
    """Returns (height, width) after torchvision's `Resize(size)`, which rounds down."""
    long_side = int(size * max(height, width) / min(height, width))
    return (long_side, size) if width <= height else (size, long_side)


def centre_window(resized: tuple[int, int], crop: int) -> Box:
    """Returns the window of torchvision's `CenterCrop(crop)`, which rounds half to even.

    A smaller picture lies in its middle, half a pixel to the top left where that is between two.
    """
    places = [
        round((length - crop) / 2.0) if length >= crop else -((crop - length) // 2)
        for length in resized
    ]
    return Box(places[0], places[1], crop, crop)


def _corner_windows(resized: tuple[int, int], crop: int) -> list[Box]:
    low, right = resized[0] - crop, resized[1] - crop
    return [Box(top, left, crop, crop) for top in (0, low) for left in (0, right)]


def _mirrored(box: Box, width: int) -> Box:
    return box._replace(left=width - box.width - box.left)
