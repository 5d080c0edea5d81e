"""Folders of class folders of a few coloured pictures. Engine-neutral."""

from pathlib import Path

import numpy as np
from PIL import Image


def class_folder(root: Path, classes: str, images: int = 3, size: int = 32) -> str:
    """Writes pictures of each class, named by a letter, and returns the folder's path."""
    random = np.random.default_rng(0)
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for place in range(images):
            pixels = random.integers(0, 100, (size, size, 3), dtype=np.uint8)
            pixels[..., number % 3] += 100
            Image.fromarray(pixels).save(root / name / f"{place}.png")
    return str(root)
