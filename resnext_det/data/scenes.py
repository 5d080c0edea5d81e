"""Pictures of digits on cluttered photographs, with their boxes. Engine-neutral.

The photographs are the two that ship inside scikit-learn; training pictures show their
upper part, held-out ones their lower part.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnext_det.data.digits import (
    Alpha,
    DigitBank,
    Split,
    draw_colour,
    load_digit_bank,
    render_ink,
)

Canvas = NDArray[np.float32]

_TRAIN_ROWS = 0.6
"""Share of a photograph's rows, from the top, that training pictures are cut from."""


@dataclass(frozen=True)
class SceneStyle:
    """How pictures look; everything in pixels unless stated.

    Attributes:
        size: rows and columns of a picture.
        digits: fewest and most digits in it.
        digit_size: least and greatest longer side of a digit's box; sizes are drawn evenly
            on a logarithmic scale.
        contrast: least difference in luminance (0–255) of a digit to what lies under it.
        opacity: least and greatest opacity of its ink.
        ink: least and greatest value, 0–255, of each channel of its colour.
        tone: least and greatest factor on the photograph's brightness. Bright digits on
            darkened photographs are what a network can learn within minutes; where digits
            are now darker, now brighter than the ground, it stays at chance for long.
        angle: greatest rotation in degrees, to either side.
        stretch: greatest relative change of its width.
        cut: least and greatest side of the piece of photograph, before resizing.
        overlap: greatest share of the smaller box that two boxes may have in common.
        centre: whether the first digit stays near the middle, as a classifier's does.
    """

    size: int = 128
    digits: tuple[int, int] = (1, 5)
    digit_size: tuple[int, int] = (16, 80)
    contrast: float = 70.0
    opacity: tuple[float, float] = (0.85, 1.0)
    ink: tuple[float, float] = (190.0, 255.0)
    tone: tuple[float, float] = (0.3, 0.6)
    angle: float = 12.0
    stretch: float = 0.2
    cut: tuple[int, int] = (96, 160)
    overlap: float = 0.1
    centre: bool = False


@dataclass(frozen=True)
class Scene:
    """One picture.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        boxes: (G, 4) float64, xyxy, tight around the ink, pixels.
        classes: (G,) int64 in 0 … 9.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]


class ScenePainter:
    """Paints the pictures of one split; equal draws give equal pictures."""

    def __init__(self, split: Split) -> None:
        self.bank: DigitBank = load_digit_bank(split)
        self._photographs = _photograph_parts(split)

    def paint(
        self, random: np.random.RandomState, style: SceneStyle, first_class: int | None = None
    ) -> Scene:
        """Paints one picture.

        Args:
            random: the source of all draws.
            style: how it looks.
            first_class: the class of its first digit; any where it is None.
        """
        canvas = self._background(random, style)
        count = random.randint(style.digits[0], style.digits[1] + 1)
        sizes = sorted((_draw_size(random, style) for _ in range(count)), reverse=True)
        boxes: list[tuple[int, int, int, int]] = []
        classes: list[int] = []
        for number, longest in enumerate(sizes):
            wanted = first_class if number == 0 else None
            index = self._draw_digit(random, wanted)
            ink = render_ink(
                self.bank.scans[index],
                longest,
                angle=random.uniform(-style.angle, style.angle),
                stretch=1 + random.uniform(-style.stretch, style.stretch),
            )
            box = _find_place(random, ink.shape, boxes, style)
            if box is not None:
                _lay(random, canvas, ink, box, style)
                boxes.append(box)
                classes.append(int(self.bank.classes[index]))
        canvas += random.normal(0, 2.0, canvas.shape)
        image = np.rint(canvas.clip(0, 255)).astype(np.uint8)
        return Scene(image, np.array(boxes, np.float64).reshape(-1, 4), np.array(classes, np.int64))

    def _draw_digit(self, random: np.random.RandomState, wanted: int | None) -> int:
        if wanted is None:
            return int(random.randint(len(self.bank)))
        return int(random.choice(np.flatnonzero(self.bank.classes == wanted)))

    def _background(self, random: np.random.RandomState, style: SceneStyle) -> Canvas:
        """Cuts the liveliest of three pieces, resizes, mirrors and tones it."""
        pieces = [self._piece(random, style) for _ in range(3)]
        piece = max(pieces, key=lambda p: float(np.asarray(p.convert("L"), np.float32).std()))
        piece = piece.resize((style.size, style.size), Image.Resampling.BICUBIC)
        canvas = np.asarray(piece, dtype=np.float32)
        if random.uniform() < 0.5:
            canvas = canvas[:, ::-1]
        tone = random.uniform(*style.tone) * random.uniform(0.9, 1.1, size=3)
        return (canvas * tone).clip(0, 255).astype(np.float32)

    def _piece(self, random: np.random.RandomState, style: SceneStyle) -> Image.Image:
        photograph = self._photographs[random.randint(len(self._photographs))]
        most = min(style.cut[1], *photograph.size)
        side = random.randint(min(style.cut[0], most), most + 1)
        x = random.randint(photograph.width - side + 1)
        y = random.randint(photograph.height - side + 1)
        return photograph.crop((x, y, x + side, y + side))


def _photograph_parts(split: Split) -> list[Image.Image]:
    from sklearn.datasets import load_sample_images

    parts = []
    for pixels in load_sample_images().images:
        cut = round(len(pixels) * _TRAIN_ROWS)
        parts.append(Image.fromarray(pixels[:cut] if split == "train" else pixels[cut:]))
    return parts


def _draw_size(random: np.random.RandomState, style: SceneStyle) -> int:
    low, high = np.log(style.digit_size[0]), np.log(style.digit_size[1] + 1)
    return int(np.exp(random.uniform(low, high)))


def _find_place(
    random: np.random.RandomState,
    shape: tuple[int, ...],
    boxes: list[tuple[int, int, int, int]],
    style: SceneStyle,
) -> tuple[int, int, int, int] | None:
    """Draws a place that overlaps the others little, or None after thirty tries."""
    height, width = shape
    room_x, room_y = style.size - width, style.size - height
    for _ in range(30):
        if style.centre and not boxes:
            share_x, share_y = random.uniform(0.25, 0.75, size=2)
            x, y = int(room_x * share_x), int(room_y * share_y)
        else:
            x, y = random.randint(room_x + 1), random.randint(room_y + 1)
        box = (x, y, x + width, y + height)
        if all(_common_share(box, other) <= style.overlap for other in boxes):
            return box
    return None


def _common_share(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Returns the common area of two boxes over that of the smaller one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b))


def _lay(
    random: np.random.RandomState,
    canvas: Canvas,
    ink: Alpha,
    box: tuple[int, int, int, int],
    style: SceneStyle,
) -> None:
    """Blends ink into the canvas, in place."""
    under = canvas[box[1] : box[3], box[0] : box[2]]
    colour = draw_colour(random, under, style.contrast, style.ink)
    alpha = (ink * random.uniform(*style.opacity))[:, :, None]
    under += alpha * (colour - under)
