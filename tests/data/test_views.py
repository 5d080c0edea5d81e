"""Evaluation's views against torchvision's own arithmetic. Engine-neutral."""

import pytest
from PIL import Image
from torchvision.transforms import v2

from resnext_det.data.views import Box, TestView, padded_view, part_view

# (height, width): equal, broad, tall, odd, far too small, very long.
SIZES = [(300, 300), (300, 500), (501, 334), (257, 256), (17, 40), (3, 1000), (256, 999)]
CROPS = [(256, 224), (320, 320), (40, 64), (255, 224), (7, 7)]


def coordinates(height: int, width: int) -> Image.Image:
    """A picture whose pixels are far apart enough to be told one from another."""
    return Image.new("L", (width, height), 1)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("resize", "crop"), CROPS)
def test_sizes_are_torchvisions(size: tuple[int, int], resize: int, crop: int) -> None:
    view = TestView(resize, crop).of(*size)
    resized = v2.Resize(resize)(coordinates(*size))
    assert view.resized == (resized.height, resized.width)
    assert view.part == (0, 0, *size)
    assert (view.flipped, len(view.windows)) == ((False,), 1)
    # What of the centre crop is picture, and not the zeros around it.
    shown = v2.CenterCrop(crop)(resized).getbbox()
    top, left = view.windows[0][:2]
    inside = (
        max(0, -left), max(0, -top),
        min(crop, resized.width - left), min(crop, resized.height - top),
    )  # fmt: skip
    assert shown == inside


@pytest.mark.parametrize("length", range(32, 41))
def test_centres_are_torchvisions(length: int) -> None:
    image = Image.new("L", (length, 64))
    image.putdata([x for _ in range(64) for x in range(length)])
    centre = v2.CenterCrop(32)(image)
    (window,) = TestView(min(length, 64), 32).of(64, length).windows
    assert centre.getpixel((0, 0)) == window.left


def test_the_views_of_training() -> None:
    part = Box(3, 4, 50, 60)
    assert part_view(part, 32, True) == part_view(part, 32).__class__(
        part, (32, 32), (Box(0, 0, 32, 32),), (True,)
    )
    view = padded_view(32, 40, window=Box(1, 9, 32, 32), padding=4)
    assert (view.part, view.resized) == ((0, 0, 32, 40), (32, 40))
    assert view.windows == (Box(-3, 5, 32, 32),)


def test_ten_crop_has_ten_windows() -> None:
    assert (TestView(1, 1).num_windows, TestView(1, 1, ten_crop=True).num_windows) == (1, 10)
