"""What is drawn at random for one training image: its view and its colours. Engine-neutral.

All of it is drawn from torch's CPU generator, seeded by `seeded`, in one order: the part or place,
the flip, the colours. torchvision's own transforms draw from that generator too, so the parts
are those of its `RandomResizedCrop` to the bit.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torchvision.transforms import v2

from resnext_det.data.views import (
    Box,
    View,
    centre_window,
    padded_view,
    part_view,
    resized_short_side,
)
from resnext_det.errors import UserError

_TRIES = 10  # of a part that fits, in torchvision's code and in the authors'


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch's CPU generator for the body, and hands it back as it was."""
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(seed)
        yield
    finally:
        torch.set_rng_state(state)


class ViewDraw(Protocol):
    """Draws what a training image shows, but for the flip."""

    def draw(self, height: int, width: int) -> View:
        """Returns a view with one window, not flipped.

        Raises:
            UserError: the image is too small.
        """
        ...


class ResizedCrop:
    """A random part, resized: torchvision's `RandomResizedCrop`.

    Args:
        size: px of the result.
        scale: smallest and largest share of the image's area.
        ratio: smallest and largest width / height; its logarithm is drawn evenly.
    """

    def __init__(self, size: int, scale: tuple[float, float], ratio: tuple[float, float]) -> None:
        self._size = size
        self._crop = v2.RandomResizedCrop(size, scale, ratio)

    def draw(self, height: int, width: int) -> View:
        """Draws a part; the middle of the image where ten did not fit."""
        of_that_size = torch.empty(1, 1, 1).expand(1, height, width)  # has no pixels
        found = self._crop.make_params([of_that_size])
        part = Box(found["top"], found["left"], found["height"], found["width"])
        return part_view(part, self._size)


@dataclass(frozen=True)
class Torch7Crop:
    """A random part, resized, as the authors' code draws it.

    Source: `RandomSizedCrop` of facebookarchive/fb.resnet.torch, datasets/transforms.lua. It
    differs from torchvision's in two places: the ratio itself is drawn evenly and then turned
    over half of the time (up to 3 % more or fewer parts of a shape); and where ten parts
    did not fit, the short side is resized to `size` and the centre taken (torchvision: the
    largest part in the middle with a ratio in range).

    Attributes:
        size: px of the result.
        scale: smallest and largest share of the image's area.
        ratio: smallest and largest width / height, before turning over.
    """

    size: int
    scale: tuple[float, float]
    ratio: tuple[float, float]

    def draw(self, height: int, width: int) -> View:
        """Draws a part; the centre where ten did not fit."""
        for _ in range(_TRIES):
            area = _uniform(*self.scale) * height * width
            ratio = _uniform(*self.ratio)
            w, h = _rounded(math.sqrt(area * ratio)), _rounded(math.sqrt(area / ratio))
            if _uniform(0.0, 1.0) < 0.5:
                w, h = h, w
            if 0 < h <= height and 0 < w <= width:
                top, left = _integer(height - h), _integer(width - w)
                return part_view(Box(top, left, h, w), self.size)
        resized = resized_short_side(height, width, self.size)
        window = centre_window(resized, self.size)
        return View(Box(0, 0, height, width), resized, (window,), (False,))


@dataclass(frozen=True)
class PaddedCrop:
    """A random place of the padded image, not resized: the recipe of CIFAR.

    Attributes:
        size: px of the result.
        padding: px on each side.
    """

    size: int
    padding: int

    def draw(self, height: int, width: int) -> View:
        """Draws a place.

        Raises:
            UserError: the padded image is smaller than the crop.
        """
        free = [length + 2 * self.padding - self.size for length in (height, width)]
        if min(free) < 0:
            raise UserError(
                f"an image of {width}x{height} px is smaller, with INPUT.CLASSIFICATION."
                f"TRAIN_PADDING {self.padding}, than TRAIN_CROP {self.size}"
            )
        top, left = (_integer(length) for length in free)
        window = Box(top, left, self.size, self.size)
        return padded_view(height, width, window=window, padding=self.padding)


class ColorDraws(NamedTuple):
    """How the colours of an image change, or, stacked, of N images.

    Attributes:
        order: (3,) int64, a permutation of 0 brightness, 1 contrast, 2 saturation.
        factors: (3,) float32, the factor of each, by its number.
        lighting: (3,) float32, along the axes of the colours' covariance.
    """

    order: Tensor
    factors: Tensor
    lighting: Tensor


@dataclass(frozen=True)
class ColorDraw:
    """Draws how the colours of an image change (`colors.py` of the classifier applies it).

    Attributes:
        jitter: v of brightness, contrast and saturation; each factor is 1 + uniform(-v, v).
        lighting: the standard deviation along the axes.
    """

    jitter: tuple[float, float, float]
    lighting: float

    def draw(self) -> ColorDraws | None:
        """Draws order, factors and lighting; None, and no number, where nothing changes."""
        if not any(self.jitter) and not self.lighting:
            return None
        order = torch.randperm(3)
        factors = 1.0 + torch.empty(3).uniform_(-1.0, 1.0) * torch.tensor(self.jitter)
        return ColorDraws(order, factors, torch.randn(3) * self.lighting)


@dataclass(frozen=True)
class ImageDraws:
    """Draws all that a training image needs before it is decoded.

    Attributes:
        view: draws the part or place.
        hflip: the probability that it is mirrored.
        colors: draws the change of colours.
    """

    view: ViewDraw
    hflip: float
    colors: ColorDraw

    def draw(self, height: int, width: int) -> tuple[View, ColorDraws | None]:
        """Draws from torch's generator, for an image of this size."""
        view = self.view.draw(height, width)
        flipped = bool(torch.rand(1) < self.hflip)  # as torchvision's RandomHorizontalFlip
        view = View(view.part, view.resized, view.windows, (flipped,))
        return view, self.colors.draw()


def draws_from_config(cfg: Any) -> ImageDraws:
    """Builds the draws that `INPUT.CLASSIFICATION` describes, whose values are checked already."""
    given = cfg.INPUT.CLASSIFICATION
    scale, ratio = tuple(given.TRAIN_SCALE), tuple(given.TRAIN_RATIO)
    views: dict[str, ViewDraw] = {
        "resized_crop": ResizedCrop(given.TRAIN_CROP, scale, ratio),
        "torch7_crop": Torch7Crop(given.TRAIN_CROP, scale, ratio),
        "padded_crop": PaddedCrop(given.TRAIN_CROP, given.TRAIN_PADDING),
    }
    colors = ColorDraw(tuple(given.COLOR_JITTER), given.LIGHTING)
    return ImageDraws(views[given.TRAIN_VIEW], given.HFLIP, colors)


def _uniform(low: float, high: float) -> float:
    return float(torch.empty(1, dtype=torch.float64).uniform_(low, high))


def _integer(highest: int) -> int:
    """Draws one of 0 … highest."""
    return int(torch.randint(0, highest + 1, (1,)))


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)  # halves away from zero, as torch.round of Lua's Torch
