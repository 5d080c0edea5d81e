"""What a person calls an image, as pixels. Engine-neutral."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from resnext_det.data.image_files import read_image
from resnext_det.data.opened_image import MAX_PIXELS, Pixels, UnreadableImage
from resnext_det.data.set_aside import BrokenImage
from resnext_det.errors import UserError

Color: TypeAlias = Literal["rgb", "bgr"]
ImageLike: TypeAlias = str | Path | Image.Image | NDArray[np.uint8] | Tensor
"""An image.

| what | shape, dtype, order |
|---|---|
| path | a file in a format that training reads too; its EXIF orientation is applied |
| PIL image | any mode; its EXIF orientation is applied |
| NumPy array | (H, W, 3) uint8, RGB or as `color` says; or (H, W) uint8, grey |
| tensor | (3, H, W) uint8, RGB or as `color` says, on any device |
"""


def pixels_of(image: ImageLike, color: Color = "rgb") -> Pixels:
    """Returns an image as (H, W, 3) uint8 RGB.

    Args:
        image: see `ImageLike`.
        color: the order of the channels of arrays and tensors; OpenCV's is "bgr". Files and PIL
            images know theirs.

    Raises:
        UserError: a file that is missing or broken; an array of another shape or dtype, or an
            image without pixels, or with more than 2**26.
    """
    if color not in ("rgb", "bgr"):
        raise UserError(f"color {color!r}: give rgb or bgr")
    if isinstance(image, str | Path):
        return read_pixels(str(image))
    if isinstance(image, Image.Image):
        upright = ImageOps.exif_transpose(image)
        return _checked(np.asarray(upright.convert("RGB")), "an image")
    if isinstance(image, Tensor):
        return _in_order(_of_tensor(image), color)
    if isinstance(image, np.ndarray):
        return _in_order(_of_array(image), color)
    raise UserError(
        f"an image is a path, a PIL image, a NumPy array or a tensor, not {type(image).__name__}"
    )


def read_pixels(path: str) -> Pixels:
    """Reads an image file upright, (H, W, 3) uint8 RGB.

    Raises:
        UserError: it is missing or broken.
    """
    try:
        return read_image(path, "RGB")
    except UnreadableImage as error:
        raise UserError(str(BrokenImage(path, str(error)))) from error


def is_one_image(image: ImageLike | Sequence[ImageLike]) -> bool:
    """Tells one image from several; an array or a tensor of four dimensions is several."""
    if isinstance(image, np.ndarray | Tensor):
        return image.ndim < 4
    return isinstance(image, str | Path | Image.Image) or not isinstance(image, Sequence)


def _of_array(image: NDArray[np.uint8]) -> Pixels:
    what = f"an array of shape {image.shape} and dtype {image.dtype}"
    if image.dtype != np.uint8:
        raise UserError(f"{what}: give uint8 in 0 … 255")
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] != 3:
        raise UserError(f"{what}: give (H, W, 3), or (H, W) for grey")
    return _checked(image, what)


def _of_tensor(image: Tensor) -> Pixels:
    what = f"a tensor of shape {tuple(image.shape)} and dtype {str(image.dtype)[6:]}"
    if image.ndim != 3 or image.shape[0] != 3 or str(image.dtype) != "torch.uint8":
        raise UserError(f"{what}: give (3, H, W) uint8 in 0 … 255")
    return _checked(image.detach().cpu().permute(1, 2, 0).numpy(), what)


def _in_order(pixels: Pixels, color: Color) -> Pixels:
    return pixels[:, :, ::-1] if color == "bgr" else pixels


def _checked(pixels: Pixels, what: str) -> Pixels:
    height, width = pixels.shape[:2]
    if not 0 < height * width <= MAX_PIXELS:
        raise UserError(f"{what}: has {width}x{height} pixels; 1 … {MAX_PIXELS:,} are taken")
    return pixels
