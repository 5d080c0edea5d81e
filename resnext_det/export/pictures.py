"""The images that an export is proven and calibrated on. Engine-neutral."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from resnext_det.data.opened_image import Pixels
from resnext_det.data.transforms import resize_image
from resnext_det.errors import UserError
from resnext_det.export.formats import FixedShape
from resnext_det.folder_walks import walk_folders
from resnext_det.inference.images import read_pixels
from resnext_det.inference.inputs import IMAGE_ENDINGS

_NUM_SCENES = 2


def pictures_of(folder: Path, option: str, most: int) -> list[Pixels]:
    """Reads the first images of a folder and of those below it, by name.

    Args:
        folder: of the option.
        option: for messages.
        most: so many are read.

    Returns:
        (H, W, 3) uint8 RGB each, upright.

    Raises:
        UserError: there is no such folder, no image in it, or a broken one; or a folder in it
            cannot be listed.
    """
    if not folder.is_dir():
        raise UserError(f"{option} {folder}: no such folder")
    files = sorted(_images_below(folder, option))
    if not files:
        raise UserError(f"{option} {folder}: holds no image")
    return [read_pixels(str(path)) for path in files[:most]]


def _images_below(folder: Path, option: str) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise UserError(f"{option} {error.filename}: cannot be listed ({error.strerror})")

    for place, names in walk_folders(str(folder), refuse):
        for name in names:
            if name.lower().endswith(IMAGE_ENDINGS) and not name.startswith("."):
                yield Path(place, name)


def built_in_pictures() -> list[Pixels]:
    """Returns the photographs that scikit-learn brings, and pictures of digits made from them.

    Raises:
        UserError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_sample_images
    except ImportError as error:
        raise UserError(
            "the built-in images need scikit-learn, which is not installed: give --images FOLDER, "
            "or pip install 'resnext-det[quickstart]'"
        ) from error
    from resnext_det.data.scenes import ScenePainter, SceneStyle

    painter, random = ScenePainter("val"), np.random.RandomState(0)
    scenes = [painter.paint(random, SceneStyle()).image for _ in range(_NUM_SCENES)]
    return [*load_sample_images().images, *scenes]


def in_batches(pictures: list[Pixels], fixed: FixedShape | None) -> list[list[Pixels]]:
    """Returns batches of images of one size, which an exported detector takes.

    Args:
        pictures: at least one.
        fixed: the one shape it takes: all are scaled to it, and the last batch is filled up with
            the first images. Where it takes any, one is together with its mirror image and the
            others are alone.
    """
    if fixed is None:
        return [[pictures[0], pictures[0][:, ::-1]], *([picture] for picture in pictures[1:])]
    fitted = [scaled_to(picture, fixed) for picture in pictures]
    missing = -len(fitted) % fixed.number
    fitted += [fitted[k % len(fitted)] for k in range(missing)]
    return [fitted[k : k + fixed.number] for k in range(0, len(fitted), fixed.number)]


def scaled_to(pixels: Pixels, fixed: FixedShape) -> Pixels:
    """Scales an image to the size of a fixed shape, whatever its own proportions."""
    return resize_image(np.ascontiguousarray(pixels), fixed.height, fixed.width)
