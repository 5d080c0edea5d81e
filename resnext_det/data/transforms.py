"""Resizing and flipping as Detectron2's input path does. Engine-neutral.

Random draws come from a `RandomState` in Detectron2's order, size first, flip second, so
that its own `DatasetMapper`, after `np.random.seed` of the same number, gives the same
pixels and boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnext_det.data.opened_image import Pixels
from resnext_det.errors import UserError

Boxes64 = NDArray[np.float64]


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
        pixel for some sizes. A side that rounds to none, where Detectron2 fails, is 1.
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
        return max(1, int(new_height + 0.5)), max(1, int(new_width + 0.5))


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
