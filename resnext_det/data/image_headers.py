"""Images checked by their headers before a run, without decoding pixels. Engine-neutral.

A header costs about 0.1 ms where the file is cached. Sets that are evaluated are checked
whole, because their mistakes would show only when the training is over. Of a training set at
most `TRAINING_IMAGES` are, spread evenly; a broken image among the others is named when it is
first drawn. Pixels that are cut off behind a sound header are not found here.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from resnext_det.data.image_files import ImageHeader, read_header
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.data.set_aside import BrokenImage
from resnext_det.errors import UserError, one_line

TRAINING_IMAGES = 10_000
"""Images of a training set whose headers are read."""

Item = TypeVar("Item")
_MEND = "mend the size and see to the boxes"
_DEEP_MODES = ("I", "F")
_logger = logging.getLogger(__name__)


class StatedImage(NamedTuple):
    """An image of a detection set.

    Attributes:
        path: the file.
        size: (height, width) after EXIF rotation, as the annotation file states.
    """

    path: str
    size: tuple[int, int]


def spread(items: Sequence[Item], *, training: bool) -> Sequence[Item]:
    """Returns the images to check: all, or of a large training set every n-th."""
    step = -(-len(items) // TRAINING_IMAGES) if training and items else 1
    return items[::step]


def check_headers(name: str, images: Sequence[StatedImage]) -> tuple[BrokenImage, ...]:
    """Reads the headers of images of a set, and logs what is odd about them.

    Args:
        name: of the set.
        images: those to look at.

    Returns:
        Those that are broken.

    Raises:
        UserError: one is missing or has another size, or all are broken.
    """
    broken, turned, deep = [], [], []
    for path, size in images:
        try:
            header = read_header(path)
        except UnreadableImage as error:
            broken.append(BrokenImage(path, str(error)))
            continue
        check_image_size(path, (header.height, header.width), size, header)
        if header.is_turned:
            turned.append(path)
        if header.mode.startswith(_DEEP_MODES):
            deep.append(path)
    if images and len(broken) == len(images):
        raise UserError(f"{broken[0]}; nor can any other of the {len(images)} images looked at")
    _tell(name, turned, len(images), "are turned or mirrored, as their EXIF orientation says")
    _tell(name, deep, len(images), "have more than 8 bits: what is brighter than 255 is white")
    return tuple(broken)


def check_image_size(
    path: str,
    found: tuple[int, int],
    stated: tuple[int, int],
    header: ImageHeader | None = None,
) -> None:
    """Checks an image's (height, width) against what its annotation file says.

    Args:
        path: the image.
        found: what it has.
        stated: what it should have.
        header: its header, which tells why it has not.

    Raises:
        UserError: they differ.
    """
    if found == stated:
        return
    is_stored = header is not None and header.is_turned and found == stated[::-1]
    hint = ": that is its size before its EXIF orientation is applied" if is_stored else ""
    advice = "turn the boxes, or take the orientation out of the file" if is_stored else _MEND
    raise UserError(
        f"{path}: the image is {found[1]}x{found[0]}, but the annotation file says "
        f"{stated[1]}x{stated[0]} (width x height, after EXIF rotation){hint}; {advice}"
    )


def check_header(path: str, stated: tuple[int, int]) -> ImageHeader:
    """Checks that a picture of labels begins as an image of its size.

    Args:
        path: the picture.
        stated: (height, width) after EXIF rotation.

    Raises:
        UserError: it is missing, broken or no image, or has another size.
    """
    try:
        header = read_header(path)
    except UnreadableImage as error:
        raise UserError(str(BrokenImage(path, str(error)))) from error
    check_image_size(path, (header.height, header.width), stated)
    return header


def _tell(name: str, paths: Sequence[str], looked_at: int, what: str) -> None:
    if paths:
        _logger.info(
            "%s: %d of the %d images looked at %s; the first is %s",
            name, len(paths), looked_at, what, one_line(paths[0]),
        )  # fmt: skip
