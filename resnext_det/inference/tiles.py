"""Large images cut into overlapping tiles, and their boxes joined. Engine-neutral.

Small objects of a large image vanish where all of it is resized to what a detector takes. Each tile
is resized as an image of its own, so that objects keep the size they were trained at. The whole
image is looked at as well, for what is larger than a tile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_area

from resnext_det.data.opened_image import Pixels
from resnext_det.errors import UserError
from resnext_det.structures import Detections

COVERED = 0.7
"""Share of a cut box that lies within a box of its class that is not cut: then it is a piece of
that object."""
NEARLY = 0.5
"""Share of a cut box's score that the whole box needs, so that no faint box removes a sure one."""
_EDGE = 2.0
"""Pixels from a tile's border within which a box counts as cut off there."""
MOST_TILES = 10_000


@dataclass(frozen=True)
class Tiling:
    """How large images are cut.

    Attributes:
        size: side of a tile in pixels of the image.
        overlap: share of a tile that the next one repeats, 0 … below 1. An object that is not
            larger than that is whole in one of the tiles.
    """

    size: int
    overlap: float = 0.2

    def __post_init__(self) -> None:
        if self.size < 32:
            raise UserError(f"tiles of {self.size} pixels: give 32 or more")
        if not 0 <= self.overlap <= 0.9:
            raise UserError(f"tiles that overlap by {self.overlap}: give a share of 0 … 0.9")

    def starts(self, length: int) -> list[int]:
        """Returns where the tiles of a side begin; the last one ends where the side does."""
        step = max(1, round(self.size * (1 - self.overlap)))
        last = max(0, length - self.size)
        return [*range(0, last, step), last]


def detect_in_tiles(
    detect: Callable[[Sequence[Pixels]], list[Detections]],
    pixels: Pixels,
    tiling: Tiling,
    nms_thresh: float,
) -> Detections:
    """Finds boxes in the tiles of an image and in the whole of it, and joins them.

    Of two boxes of a class that overlap by more than `nms_thresh` the better one stays. A box
    that a tile's border cuts off goes where a whole one of its class covers it that is nearly as
    sure.

    Args:
        detect: finds boxes in each of several images, in its own pixels.
        pixels: (H, W, 3) uint8 RGB. An image not larger than a tile is not cut.
        tiling: how it is cut.
        nms_thresh: overlap (intersection over union) of two boxes of one object.

    Returns:
        Detections in pixels of the image, best first.

    Raises:
        UserError: the tiles are too many.
    """
    height, width = pixels.shape[:2]
    corners = _corners(height, width, tiling)
    if not corners:
        return detect([pixels])[0]
    found = detect([pixels[y : y + tiling.size, x : x + tiling.size] for y, x in corners])
    found += detect([pixels])
    moved = [
        _moved(detections, corner)
        for detections, corner in zip(found, [*corners, (0, 0)], strict=True)
    ]
    cut = [
        _cut_off(detections.boxes, corner, tiling.size, (height, width))
        for detections, corner in zip(moved, corners, strict=False)
    ]
    cut.append(torch.zeros(len(moved[-1]), dtype=torch.bool))  # the whole image has no such border
    return _joined(moved, torch.cat(cut), nms_thresh)


def _corners(height: int, width: int, tiling: Tiling) -> list[tuple[int, int]]:
    """Returns the (top, left) of each tile; none where the image is not larger than one."""
    if max(height, width) <= tiling.size:
        return []
    rows, columns = tiling.starts(height), tiling.starts(width)
    if len(rows) * len(columns) > MOST_TILES:
        raise UserError(
            f"an image of {width}x{height} would be cut into {len(rows) * len(columns):,} tiles of "
            f"{tiling.size} pixels; at most {MOST_TILES:,} are: give larger ones"
        )
    return [(y, x) for y in rows for x in columns]


def _moved(found: Detections, corner: tuple[int, int]) -> Detections:
    top, left = corner
    shift = torch.tensor([left, top, left, top], dtype=torch.float32)
    return Detections(found.boxes.float() + shift, found.scores.float(), found.classes)


def _cut_off(boxes: Tensor, corner: tuple[int, int], size: int, image: tuple[int, int]) -> Tensor:
    """Tells which boxes, in pixels of the image, end at a border of their tile within it, (R,)."""
    (top, left), (height, width) = corner, image
    bottom, right = min(top + size, height), min(left + size, width)
    x0, y0, x1, y1 = boxes.unbind(dim=1)
    cut = torch.zeros(len(boxes), dtype=torch.bool)
    if left > 0:
        cut |= x0 <= left + _EDGE
    if top > 0:
        cut |= y0 <= top + _EDGE
    if right < width:
        cut |= x1 >= right - _EDGE
    if bottom < height:
        cut |= y1 >= bottom - _EDGE
    return cut


def _joined(found: Sequence[Detections], cut: Tensor, nms_thresh: float) -> Detections:
    boxes = torch.cat([detections.boxes for detections in found])
    scores = torch.cat([detections.scores for detections in found])
    classes = torch.cat([detections.classes for detections in found])
    # Pieces first: one that is scored higher would suppress the whole box.
    kept = torch.nonzero(~_are_pieces(boxes, scores, classes, cut))[:, 0]
    kept = kept[batched_nms(boxes[kept], scores[kept], classes[kept], nms_thresh)]  # best first
    return Detections(boxes[kept], scores[kept], classes[kept])


def _are_pieces(boxes: Tensor, scores: Tensor, classes: Tensor, cut: Tensor) -> Tensor:
    """Tells which cut boxes a whole box of their class covers that is nearly as sure, (R,) bool."""
    whole = torch.nonzero(~cut)[:, 0]
    result = torch.zeros(len(boxes), dtype=torch.bool)
    for piece in torch.nonzero(cut)[:, 0].tolist():
        low = torch.maximum(boxes[piece, :2], boxes[whole, :2])
        high = torch.minimum(boxes[piece, 2:], boxes[whole, 2:])
        shared = (high - low).clamp(min=0).prod(dim=1)
        covers = shared >= COVERED * box_area(boxes[piece : piece + 1])
        covers &= classes[whole] == classes[piece]
        result[piece] = bool((covers & (scores[whole] >= NEARLY * scores[piece])).any())
    return result
