"""Reading, resizing and flipping as Detectron2's input path does. Engine-neutral.

Random draws come from a `RandomState` in Detectron2's order, size first, flip second, so
that its own `DatasetMapper`, after `np.random.seed` of the same number, gives the same
pixels and boxes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from resnext_det.data.plain_files import image_file_size
from resnext_det.errors import UserError

Pixels = NDArray[np.uint8]
Boxes64 = NDArray[np.float64]

_EXIF_ORIENTATION = 274
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = frozenset(_UPRIGHT[orientation] for orientation in (5, 6, 7, 8))
_GetExif = Callable[[Any], Image.Exif]


def read_image(path: str, pixel_format: str) -> Pixels:
    """Reads an image file upright, whatever its mode.

    Args:
        path: the file.
        pixel_format: "RGB" or "BGR", as `INPUT.FORMAT`.

    Returns:
        (H, W, 3) uint8.

    Raises:
        UserError: the file is missing, broken, cut off, or no image.
    """
    check_pixel_format(pixel_format)
    pixels = np.asarray(open_rgb(path))
    return pixels[:, :, ::-1] if pixel_format == "BGR" else pixels


def read_size(path: str, expected: tuple[int, int] | None = None) -> tuple[int, int]:
    """Reads an image's size from its header, with its EXIF orientation applied.

    PNG may keep its EXIF block behind the pixels, which are decoded to reach it only
    where the header alone does not give the expected size.

    Args:
        path: the file.
        expected: the (height, width) that it should have.

    Returns:
        (height, width).

    Raises:
        UserError: the file is missing or no image.
    """
    with _readable(path), Image.open(path) as image:
        is_png = image.format == "PNG"
        # PNG's own getexif decodes the pixels to look behind them.
        size = _upright_size(image, Image.Image.getexif if is_png else type(image).getexif)
    if is_png and expected not in (None, size):
        decoded = open_rgb(path)
        return decoded.height, decoded.width
    return size


def open_rgb(path: str) -> Image.Image:
    """Decodes an image file to RGB with its EXIF orientation applied.

    Raises:
        UserError: the file is missing, broken, cut off, or no image.
    """
    with _readable(path), Image.open(path) as image:
        return _upright(image).convert("RGB")


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """Names the image in whatever goes wrong while it is read."""
    try:
        image_file_size(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such image") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        yield
    except UnidentifiedImageError as error:  # Pillow's own words repeat the path
        raise UserError(f"{path}: cannot be read as an image (in no format known)") from error
    # Pillow's decoders raise whatever the damage makes them stumble on.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be read as an image ({reason})") from error


def check_pixel_format(pixel_format: str) -> None:
    """Checks `INPUT.FORMAT`.

    Raises:
        UserError: it is neither RGB nor BGR.
    """
    if pixel_format not in ("RGB", "BGR"):
        raise UserError(f"INPUT.FORMAT '{pixel_format}' is not supported; use RGB or BGR")


def _upright(image: Image.Image) -> Image.Image:
    method = exif_rotation(image, type(image).getexif)
    return image if method is None else image.transpose(method)


def _upright_size(image: Image.Image, getexif: _GetExif) -> tuple[int, int]:
    width, height = image.size
    return (width, height) if exif_rotation(image, getexif) in SIDEWAYS else (height, width)


def exif_rotation(image: Image.Image, getexif: _GetExif) -> Image.Transpose | None:
    """Returns what puts an image upright, read with a given `getexif`; None: it is."""
    try:
        orientation = getexif(image).get(_EXIF_ORIENTATION)
    except Exception:  # a broken EXIF block does not make the pixels unreadable
        return None
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


@dataclass(frozen=True)
class ResizeShortestEdge:
    """Scales the short edge to a chosen length, keeping the long edge within a limit.

    Attributes:
        lengths: short edges in pixels: the choices, or for "range" its two ends. A drawn
            length of 0 leaves the image as it is.
        max_size: the most the long edge may have, in pixels.
        sample_style: "choice" or "range" (`INPUT.MIN_SIZE_TRAIN_SAMPLING`).
    """

    lengths: Sequence[int]
    max_size: int
    sample_style: str = "choice"

    def __post_init__(self) -> None:
        if self.sample_style not in ("choice", "range"):
            raise UserError(
                f"INPUT.MIN_SIZE_TRAIN_SAMPLING '{self.sample_style}': use choice or range"
            )
        if self.sample_style == "range" and len(self.lengths) != 2:
            raise UserError(
                f"INPUT.MIN_SIZE_TRAIN {list(self.lengths)}: range sampling needs two lengths"
            )
        if not self.lengths or min(self.lengths) < 0:
            raise UserError(
                f"INPUT.MIN_SIZE_TRAIN {list(self.lengths)}: lengths must be >= 0, at least one"
            )

    def draw(self, random: np.random.RandomState) -> int:
        """Draws a short edge."""
        if self.sample_style == "range":
            return int(random.randint(self.lengths[0], self.lengths[1] + 1))
        return int(random.choice(self.lengths))

    def output_size(self, height: int, width: int, length: int) -> tuple[int, int]:
        """Returns (height, width) after scaling, rounding half up.

        The order of the float operations is Detectron2's; another one rounds to another
        pixel for some sizes.
        """
        if length == 0:
            return height, width
        short = float(length)
        scale = short / min(height, width)
        new_height, new_width = (
            (short, scale * width) if height < width else (scale * height, short)
        )
        longest = max(new_height, new_width)
        if longest > self.max_size:
            shrink = self.max_size * 1.0 / longest
            new_height, new_width = new_height * shrink, new_width * shrink
        return int(new_height + 0.5), int(new_width + 0.5)


def resize_image(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resizes (H, W, 3) uint8 pixels with Pillow's bilinear filter."""
    if pixels.shape[:2] == (height, width):
        return pixels  # Pillow's result would be equal
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def resize_boxes(boxes: Boxes64, old: tuple[int, int], new: tuple[int, int]) -> Boxes64:
    """Scales (G, 4) xyxy boxes from an image of (height, width) `old` to `new`."""
    x, y = new[1] * 1.0 / old[1], new[0] * 1.0 / old[0]
    return boxes * np.array([x, y, x, y])


@dataclass(frozen=True)
class RandomFlip:
    """Mirrors half of the images (`INPUT.RANDOM_FLIP`).

    Attributes:
        direction: "horizontal", "vertical" or "none".
    """

    direction: str

    def __post_init__(self) -> None:
        if self.direction not in ("horizontal", "vertical", "none"):
            raise UserError(
                f"INPUT.RANDOM_FLIP '{self.direction}': use horizontal, vertical or none"
            )

    def draw(self, random: np.random.RandomState) -> bool:
        """Draws whether to flip; "none" uses up no random number, as in Detectron2."""
        return self.direction != "none" and float(random.uniform(0, 1.0)) < 0.5

    def apply(self, pixels: Pixels, boxes: Boxes64) -> tuple[Pixels, Boxes64]:
        """Mirrors (H, W, 3) pixels and (G, 4) xyxy boxes; edges x become W - x."""
        axis = 1 if self.direction == "horizontal" else 0
        low, high = (0, 2) if axis == 1 else (1, 3)
        mirrored = boxes.copy()
        mirrored[:, low] = pixels.shape[axis] - boxes[:, high]
        mirrored[:, high] = pixels.shape[axis] - boxes[:, low]
        return np.flip(pixels, axis=axis), mirrored
