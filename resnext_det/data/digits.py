"""Handwritten digits as ink to be laid on photographs. Engine-neutral.

The digits are scikit-learn's: 1,797 scans of 8x8 pixels in 17 shades (UCI, Optical
Recognition of Handwritten Digits), in the order in which 13 people wrote them.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Split = Literal["train", "val"]
Alpha = NDArray[np.float32]

CLASS_NAMES = tuple(str(digit) for digit in range(10))

_VAL_SHARE = 0.2
_MARGIN = 2
_FINE = 12
"""Pixels per scanned pixel of the fine rendering that every ink is reduced from."""


@dataclass(frozen=True)
class DigitBank:
    """The scans of one split; the last fifth, mostly other writers, is held out.

    Attributes:
        scans: (D, 8, 8) float32 in 0 … 1, ink high.
        classes: (D,) int64 in 0 … 9.
    """

    scans: NDArray[np.float32]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.classes)


def load_digit_bank(split: Split) -> DigitBank:
    """Reads the scans that ship inside scikit-learn."""
    from sklearn.datasets import load_digits

    scans, classes = (np.asarray(part) for part in load_digits(return_X_y=True))
    cut = round(len(classes) * (1 - _VAL_SHARE))
    kept = slice(None, cut) if split == "train" else slice(cut, None)
    ink = (scans[kept] / 16.0).astype(np.float32).reshape(-1, 8, 8)
    return DigitBank(ink, classes[kept].astype(np.int64))


def render_ink(
    scan: NDArray[np.float32], longest: int, *, angle: float = 0.0, stretch: float = 1.0
) -> Alpha:
    """Draws a scan as smooth strokes, cut tightly to its ink.

    Args:
        scan: (8, 8) in 0 … 1.
        longest: pixels of the longer side of the result.
        angle: degrees, counter-clockwise.
        stretch: factor on the width.

    Returns:
        (h, w) opacity in 0 … 1, max(h, w) = longest; its outermost rows and columns
        hold ink.
    """
    coarse = np.pad(np.rint(scan * 255).astype(np.uint8), _MARGIN)
    side = coarse.shape[0] * _FINE
    fine = Image.fromarray(coarse).resize((round(side * stretch), side), Image.Resampling.BICUBIC)
    # Sharpening opens the holes of small loops and closes gaps in faint strokes.
    fine = fine.filter(ImageFilter.UnsharpMask(radius=14, percent=120, threshold=0))
    fine = fine.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    # A soft threshold turns the blur of upscaling into strokes with an edge.
    shades = np.asarray(fine, dtype=np.float32) / np.float32(255)
    strokes = np.clip((shades - np.float32(0.40)) / np.float32(0.16), 0, 1)
    strokes = strokes[ink_extent(strokes)]
    height, width = strokes.shape
    scale = longest / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    reduced = Image.fromarray(np.rint(strokes * 255).astype(np.uint8)).resize(
        size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR
    )
    return np.asarray(reduced, dtype=np.float32) / np.float32(255)


def ink_extent(alpha: Alpha, threshold: float = 0.5) -> tuple[slice, slice]:
    """Returns the rows and columns between the first and the last that hold ink."""
    rows = np.flatnonzero(alpha.max(axis=1) > threshold)
    columns = np.flatnonzero(alpha.max(axis=0) > threshold)
    assert len(rows), "a digit without ink"
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def draw_colour(
    random: np.random.RandomState,
    background: NDArray[np.floating],
    contrast: float,
    ink: tuple[float, float] = (0.0, 255.0),
) -> NDArray[np.float32]:
    """Draws a colour that stands out from what lies under it.

    Args:
        random: the source of draws.
        background: (h, w, 3) in 0 … 255.
        contrast: least difference in luminance between ink and mean background; where
            twenty draws do not reach it, the best of them is taken.
        ink: least and greatest value of each channel.

    Returns:
        (3,) float32 in 0 … 255.
    """
    weights = np.array([0.299, 0.587, 0.114])
    under = float(background.reshape(-1, 3).mean(axis=0) @ weights)
    best, best_gap = np.zeros(3), -1.0
    for _ in range(20):
        colour = random.uniform(*ink, size=3)
        gap = abs(float(colour @ weights) - under)
        if gap > best_gap:
            best, best_gap = colour, gap
        if gap >= contrast:
            break
    return best.astype(np.float32)
