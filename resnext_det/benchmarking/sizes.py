"""The size of the images that are timed. Engine-neutral; read before torch is imported."""

import re
from dataclasses import dataclass

from resnext_det.errors import UserError

DEFAULT_CONFIG = "resnext_det://COCO-Detection/faster_rcnn_X_50_32x4d_FPN_1x.yaml"
DEFAULT_SIZE = "800x1216"
"""What most of COCO's images are resized to for testing, in multiples of 32."""
_LEAST_SIDE, _MOST_PIXELS = 32, 2**26


@dataclass(frozen=True)
class Size:
    """Rows and columns of the timed images."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


def parse_size(text: str) -> Size:
    """Reads HxW.

    Raises:
        UserError: it is no size, or one that nobody has.
    """
    found = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text.strip().lower())
    size = Size(*map(int, found.groups())) if found else Size(0, 0)
    if min(size.height, size.width) < _LEAST_SIDE or size.height * size.width > _MOST_PIXELS:
        raise UserError(
            f"--image {text!r}: give rows and columns of 32 pixels and more, as {DEFAULT_SIZE}"
        )
    return size
