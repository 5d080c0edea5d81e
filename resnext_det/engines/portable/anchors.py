"""Anchor boxes on every cell of every feature map, as Detectron2 lays them. Portable."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

Numbers = Sequence[float]


def cell_anchors(sizes: Numbers, aspect_ratios: Numbers) -> Tensor:
    """Anchors around the origin, sizes in the outer loop, ratios in the inner one.

    An anchor of size s and ratio r = h / w keeps the area: w = s / sqrt(r), h = r w.
    Corners are not rounded (torchvision's are).

    Args:
        sizes: square roots of the areas, pixels.
        aspect_ratios: height over width.

    Returns:
        (len(sizes) * len(aspect_ratios), 4) float32, xyxy, pixels.
    """
    rows = []
    for size in sizes:
        for ratio in aspect_ratios:
            width = math.sqrt(size**2 / ratio)
            height = ratio * width
            rows.append([-width / 2, -height / 2, width / 2, height / 2])
    return torch.tensor(rows, dtype=torch.float32)


def per_level(values: Sequence[float] | Sequence[Numbers], num_levels: int) -> list[Numbers]:
    """One list per feature map: a single list serves every map.

    Raises:
        ValueError: the number of lists is neither 1 nor `num_levels`.
    """
    lists = [v for v in values if isinstance(v, Sequence)]
    if not lists:
        return [[float(v) for v in values if not isinstance(v, Sequence)]] * num_levels
    if len(lists) == 1:
        return lists * num_levels
    if len(lists) != num_levels:
        raise ValueError(f"{len(lists)} lists of anchor values for {num_levels} feature maps")
    return lists


class AnchorGenerator(nn.Module):
    """Anchors of all feature maps.

    The first cell's anchors are centred `offset * stride` pixels from the image's corner.

    Args:
        sizes: anchor sizes in pixels, one list per map or one for all.
        aspect_ratios: heights over widths, one list per map or one for all.
        strides: pixels of the image per cell of each map.
        offset: 0 <= offset < 1, in cells (`MODEL.ANCHOR_GENERATOR.OFFSET`).

    Raises:
        ValueError: the lists do not fit the maps, or the offset is out of range.
    """

    def __init__(
        self,
        *,
        sizes: Sequence[float] | Sequence[Numbers],
        aspect_ratios: Sequence[float] | Sequence[Numbers],
        strides: Sequence[int],
        offset: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0.0 <= offset < 1.0:
            raise ValueError(f"anchor offset {offset} is not in [0, 1)")
        self.strides = tuple(strides)
        self.offset = offset
        levels = len(self.strides)
        pairs = zip(per_level(sizes, levels), per_level(aspect_ratios, levels), strict=True)
        for level, (level_sizes, level_ratios) in enumerate(pairs):
            # Not in checkpoints: Detectron2 leaves anchors out of the state dict.
            anchors = cell_anchors(level_sizes, level_ratios)
            self.register_buffer(f"cell_anchors_{level}", anchors, persistent=False)

    @property
    def num_anchors(self) -> list[int]:
        """Anchors per cell of each feature map."""
        return [len(self._cell(level)) for level in range(len(self.strides))]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Lays anchors on each map, row by row, and on each cell in the order of its anchors.

        Args:
            features: one (N, C, H, W) map per stride.

        Returns:
            One (H * W * A, 4) float32 tensor per map, xyxy, pixels of the padded image.
        """
        maps = enumerate(zip(features, self.strides, strict=True))
        return [self._grid(lvl, tuple(f.shape[-2:]), stride) for lvl, (f, stride) in maps]

    def _cell(self, level: int) -> Tensor:
        return self.get_buffer(f"cell_anchors_{level}")

    def _grid(self, level: int, size: tuple[int, ...], stride: int) -> Tensor:
        cell = self._cell(level)
        ys, xs = (
            torch.arange(
                self.offset * stride,
                n * stride,
                step=stride,
                dtype=torch.float32,
                device=cell.device,
            )
            for n in size
        )
        height, width = size
        shifts = cell.new_empty(height, width, 1, 4)
        shifts[..., 0::2] = xs.view(1, -1, 1, 1)
        shifts[..., 1::2] = ys.view(-1, 1, 1, 1)
        return (shifts + cell).reshape(-1, 4)  # (H, W, A, 4) -> (H * W * A, 4)
