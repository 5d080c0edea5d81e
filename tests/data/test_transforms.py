"""Sizes, boxes and pixels after resizing and flipping. Engine-neutral."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from resnext_det.data.transforms import (
    RandomFlip,
    ResizeShortestEdge,
    resize_boxes,
    resize_image,
)
from resnext_det.errors import UserError


def test_output_size_by_hand() -> None:
    resize = ResizeShortestEdge((800,), 1333)
    assert resize.output_size(480, 640, 800) == (800, 1067)  # 640 * 800/480 = 1066.67
    assert resize.output_size(640, 480, 800) == (1067, 800)
    assert resize.output_size(300, 900, 800) == (444, 1333)  # the long edge decides
    assert resize.output_size(33, 77, 0) == (33, 77)
    assert resize.output_size(1, 30000, 800) == (1, 1333)  # 1333/30000 of a pixel


def test_pixels_are_pillows_bilinear() -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (37, 53, 3), dtype=np.uint8)
    resized = Image.fromarray(pixels).resize((80, 56), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize_image(pixels, 56, 80), np.asarray(resized))
    same = Image.fromarray(pixels).resize((53, 37), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize_image(pixels, 37, 53), np.asarray(same))


def test_boxes_scale_by_axis() -> None:
    boxes = np.array([[10.0, 20.0, 30.0, 40.0]])
    assert resize_boxes(boxes, (100, 50), (200, 25)).tolist() == [[5.0, 40.0, 15.0, 80.0]]
    assert resize_boxes(np.zeros((0, 4)), (9, 9), (3, 3)).shape == (0, 4)


@pytest.mark.parametrize(
    ("direction", "expected"),
    [("horizontal", [3.5, 0.5, 5.0, 3.0]), ("vertical", [1.0, 1.0, 2.5, 3.5])],
)
def test_flipping_twice_changes_nothing(direction: str, expected: list[float]) -> None:
    flip = RandomFlip(direction)
    pixels = np.random.RandomState(0).randint(0, 256, (4, 6, 3), dtype=np.uint8)
    boxes = np.array([[1.0, 0.5, 2.5, 3.0]])
    once = flip.apply(pixels, boxes)
    assert once[1].tolist() == [expected]
    twice = flip.apply(*once)
    np.testing.assert_array_equal(twice[0], pixels)
    np.testing.assert_array_equal(twice[1], boxes)


def test_half_of_the_images_are_flipped_and_none_means_none() -> None:
    random = np.random.RandomState(0)
    drawn = [RandomFlip("horizontal").draw(random) for _ in range(4000)]
    assert 0.47 < np.mean(drawn) < 0.53  # four standard deviations are 0.032
    before = random.get_state()[2]
    assert not RandomFlip("none").draw(random)
    assert random.get_state()[2] == before


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: RandomFlip("diagonal"), "INPUT.RANDOM_FLIP"),
        (lambda: ResizeShortestEdge((1, 2), 9, "both"), "INPUT.MIN_SIZE_TRAIN_SAMPLING"),
        (lambda: ResizeShortestEdge((1, 2, 3), 9, "range"), "INPUT.MIN_SIZE_TRAIN"),
        (lambda: ResizeShortestEdge((), 9), "INPUT.MIN_SIZE_TRAIN"),
    ],
)
def test_wrong_settings_are_named(make: Callable[[], object], key: str) -> None:
    with pytest.raises(UserError, match=key):
        make()
