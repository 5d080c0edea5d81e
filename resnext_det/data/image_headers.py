"""Images checked by their headers before a run, without decoding pixels. Engine-neutral.

A header costs about 0.1 ms where the file is cached. Sets that are evaluated are checked
whole, because their mistakes would show only when the training is over. Of a training set at
most `TRAINING_IMAGES` are, spread evenly; a broken image among the others is named when it is
first drawn. Pixels that are cut off behind a sound header are not found here.
"""

from collections.abc import Sequence
from typing import TypeVar

from resnext_det.data.transforms import read_size
from resnext_det.errors import UserError

TRAINING_IMAGES = 10_000
"""Images of a training set whose headers are read."""

Item = TypeVar("Item")


def spread(items: Sequence[Item], *, training: bool) -> Sequence[Item]:
    """Returns the images to check: all, or of a large training set every n-th."""
    step = -(-len(items) // TRAINING_IMAGES) if training and items else 1
    return items[::step]


def check_image_size(path: str, found: tuple[int, int], stated: tuple[int, int]) -> None:
    """Checks an image's (height, width) against what its annotation file says.

    Raises:
        UserError: they differ.
    """
    if found != stated:
        raise UserError(
            f"{path}: the image is {found[1]}x{found[0]}, but the annotation file says "
            f"{stated[1]}x{stated[0]} (width x height, after EXIF rotation)"
        )


def check_header(path: str, stated: tuple[int, int] | None = None) -> None:
    """Checks that a file begins as an image, and where a size is stated, that it has it.

    Args:
        path: the image.
        stated: (height, width) after EXIF rotation.

    Raises:
        UserError: the file is missing or no image, or has another size.
    """
    found = read_size(path, stated)
    if stated is not None:
        check_image_size(path, found, stated)
