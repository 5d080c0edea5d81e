"""Images made by formulas, for tests of decoders."""

import io
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION = 274


def photograph(height: int, width: int, seed: int = 0) -> Image.Image:
    """Something like a photograph: soft shapes in colours, some fine texture, sharp edges."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = np.zeros((height, width, 3))
    for scale in (90.0, 40.0, 15.0, 6.0):
        for channel in range(3):
            angle, phase = draw.uniform(0, 2 * np.pi, 2)
            along = (np.cos(angle) * x + np.sin(angle) * y) / scale
            waves[:, :, channel] += scale**0.5 * np.sin(2 * np.pi * along + phase)
    edge = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(height, width) / 3) ** 2
    levels = 128 + 5 * waves + np.where(edge, 25, 0)[:, :, None] + draw.normal(0, 4, waves.shape)
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, suffix: str = "JPEG", orientation: int = 1, **how: Any) -> bytes:
    """The bytes of an image file."""
    stream = io.BytesIO()
    exif = Image.Exif()
    if orientation != 1:
        exif[ORIENTATION] = orientation
    image.save(stream, suffix, exif=exif, **how)
    return stream.getvalue()
