"""JPEGs of ImageNet's size from any folder of photographs. Engine-neutral.

ImageNet's photographs have 500x375 pixels and 110 kB in the median, give or take. Windows of that
size are cut out of larger ones, unscaled, so that they stay as sharp and as noisy as a camera's.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from resnext_det.data.image_files import open_rgb
from resnext_det.errors import UserError

LONG, SHORT = 500, 375
QUALITY = 94
SUFFIXES = (".jpg", ".jpeg", ".png")
CLASSES = 4


def make_photographs(source: Path, target: Path, count: int) -> list[Path]:
    """Writes JPEGs, as an image folder of a few classes.

    Args:
        source: a folder of photographs, at any depth; they are taken in turn, by name.
        target: a folder without any.
        count: how many.

    Returns:
        Their paths. The same photographs give the same files.

    Raises:
        UserError: the source has no photograph.
    """
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(f"{source}: no photograph in it ({', '.join(SUFFIXES)})")
    paths = []
    for number in range(count):
        window = cut_window(open_rgb(str(found[number % len(found)])), number)
        path = target / f"class{number % CLASSES}" / f"{number:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        window.save(path, quality=QUALITY, subsampling="4:2:0")
        paths.append(path)
    return paths


def cut_window(image: Image.Image, seed: int) -> Image.Image:
    """Cuts a window of ImageNet's size at a drawn place; what is too small is enlarged first."""
    width, height = (LONG, SHORT) if image.width >= image.height else (SHORT, LONG)
    grow = max(width / image.width, height / image.height, 1.0)
    if grow > 1.0:
        size = (round(image.width * grow), round(image.height * grow))
        image = image.resize(size, Image.Resampling.BICUBIC)
    draw = np.random.default_rng(seed)
    left = int(draw.integers(image.width - width + 1))
    top = int(draw.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))
