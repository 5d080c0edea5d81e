"""What a config does to boxes: the resize, and the anchors they meet. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.transforms import ResizeShortestEdge


@dataclass(frozen=True)
class Geometry:
    """The resize of a config's test images, and its anchors.

    Attributes:
        min_size: short edge in pixels (`INPUT.MIN_SIZE_TEST`); 0: no resize.
        max_size: most pixels of the long edge.
        sizes: anchors' sides in pixels, of all levels.
        ratios: their height / width.
        detections_per_image: how many detections are kept.
    """

    min_size: int
    max_size: int
    sizes: tuple[float, ...]
    ratios: tuple[float, ...]
    detections_per_image: int = 100

    def scales(self, sizes: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
        """Returns (N,) the factors by which images of (height, width) grow."""
        resize = ResizeShortestEdge((self.min_size,), self.max_size)
        new = [resize.output_size(*size, self.min_size) for size in sizes]
        return np.array(
            [
                (h * w / (height * width)) ** 0.5
                for (h, w), (height, width) in zip(new, sizes, strict=True)
            ],
            dtype=np.float64,
        )

    def best_overlaps(self, sides: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the IoU of boxes with the likest anchor, were their centres the same.

        Args:
            sides: (A, 2) width, height in pixels after the resize.
        """
        areas = np.repeat(np.square(self.sizes), len(self.ratios))
        ratios = np.tile(self.ratios, len(self.sizes))
        # As Detectron2's anchors: width = sqrt(area / ratio), height = ratio x width.
        widths = np.sqrt(areas / ratios)
        heights = ratios * widths
        best = np.zeros(len(sides))
        for width, height in zip(widths, heights, strict=True):
            shared = np.minimum(sides[:, 0], width) * np.minimum(sides[:, 1], height)
            union = sides[:, 0] * sides[:, 1] + width * height - shared
            best = np.maximum(best, shared / union)
        return best


def geometry_of(cfg: Any) -> Geometry:
    """Reads a detector's config.

    Args:
        cfg: the config tree; reads `INPUT.MIN_SIZE_TEST`, `INPUT.MAX_SIZE_TEST`,
            `MODEL.ANCHOR_GENERATOR.SIZES`, `.ASPECT_RATIOS` and `TEST.DETECTIONS_PER_IMAGE`.
    """
    anchors = cfg.MODEL.ANCHOR_GENERATOR
    return Geometry(
        int(cfg.INPUT.MIN_SIZE_TEST),
        int(cfg.INPUT.MAX_SIZE_TEST),
        tuple(sorted({float(size) for level in anchors.SIZES for size in level})),
        tuple(sorted({float(ratio) for level in anchors.ASPECT_RATIOS for ratio in level})),
        int(cfg.TEST.DETECTIONS_PER_IMAGE),
    )
