"""RoIAlign over a feature pyramid. Portable."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

# A box of 224 pixels, ImageNet's crop, reads from level 4 (FPN paper, section 4.2, Eq. 1).
CANONICAL_SIZE = 224
CANONICAL_LEVEL = 4


def assign_levels(boxes: Tensor, min_level: int, max_level: int) -> Tensor:
    """The pyramid level whose cells suit each box's size.

    Args:
        boxes: (R, 4) xyxy, pixels of the resized image.
        min_level: log2 of the finest stride.
        max_level: log2 of the coarsest stride.

    Returns:
        (R,) int64 in 0 … max_level - min_level.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    # Detectron2's epsilon is 1e-8 inside the logarithm (torchvision's is 1e-6 outside).
    ratio = areas.sqrt() / CANONICAL_SIZE + 1e-8
    levels = torch.floor(CANONICAL_LEVEL + torch.log2(ratio))
    return levels.clamp(min_level, max_level).to(torch.int64) - min_level


class RoIPooler(nn.Module):
    """Cuts each box out of the level that suits it.

    Sampling points lie at pixel centres (`aligned=True`: Detectron2's ROIAlignV2).

    Args:
        output_size: rows and columns of the result.
        strides: of the feature maps, each twice the one before.
        sampling_ratio: points per bin and axis, 0 for as many as the bin has cells.

    Raises:
        ValueError: the strides are not consecutive powers of 2.
    """

    def __init__(self, output_size: int, strides: Sequence[int], sampling_ratio: int = 0) -> None:
        super().__init__()
        self.output_size = output_size
        self.strides = tuple(strides)
        self.sampling_ratio = sampling_ratio
        self.min_level = int(math.log2(self.strides[0]))
        self.max_level = self.min_level + len(self.strides) - 1
        if self.strides != tuple(2**k for k in range(self.min_level, self.max_level + 1)):
            raise ValueError(f"strides {self.strides} are not consecutive powers of 2")

    def forward(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Pools the boxes of all images.

        Args:
            features: per level (N, C, H, W).
            boxes: per image (R_i, 4) xyxy, pixels of the resized image.

        Returns:
            (sum of R_i, C, output_size, output_size), images in order.
        """
        regions = torch.cat(
            [torch.cat([b.new_full((len(b), 1), i), b], dim=1) for i, b in enumerate(boxes)]
        )  # (R, 5): image index, x0, y0, x1, y1
        if len(features) == 1:
            return self._align(features[0], regions, self.strides[0])
        levels = assign_levels(regions[:, 1:], self.min_level, self.max_level)
        size = (len(regions), features[0].shape[1], self.output_size, self.output_size)
        pooled = features[0].new_zeros(size)
        for level, (feature, stride) in enumerate(zip(features, self.strides, strict=True)):
            index = torch.nonzero(levels == level).squeeze(1)
            part = self._align(feature, regions[index], stride)
            pooled.index_put_((index,), part.to(pooled.dtype))
        return pooled

    def _align(self, feature: Tensor, regions: Tensor, stride: int) -> Tensor:
        return roi_align(
            feature,
            regions.to(feature.dtype),
            self.output_size,
            spatial_scale=1.0 / stride,
            sampling_ratio=self.sampling_ratio,
            aligned=True,
        )
