"""RoIAlign on all cores of the CPU, as weighted sums of pixels. Portable.

A bin of RoIAlign (Mask R-CNN, arXiv 1703.06870, section 3) is a mean over sampling points, each
of which is a bilinear mixture of four pixels. Both are separable: a bin is the sum over rows and
columns of row weight times column weight times pixel, where neighbouring points' shares in the
same pixel have been added up. In a channels-last map a pixel is one vector of all channels, and
`torch.nn.functional.embedding_bag` sums such vectors, on all cores and with a gradient.
torchvision's operator for the CPU reads channel by channel on one core.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from resnext_det.engines.portable.pooling import RoIPooler, assign_levels


@dataclass(frozen=True)
class AxisWeights:
    """What the pixels along one axis weigh in the bins of each box.

    Attributes:
        first: (R, P) int64, the first pixel of each bin.
        weights: (R, P, K) float32, of that pixel and the K - 1 after it; 0 beyond the bin.
        counts: (R,) int64, how many of the K a box needs at most, at least 1.
    """

    first: Tensor
    weights: Tensor
    counts: Tensor


def axis_weights(
    start: Tensor, end: Tensor, num_bins: int, num_pixels: int, sampling_ratio: int
) -> AxisWeights:
    """Merges the sampling points of each bin along one axis into weights of pixels.

    Args:
        start: (R,) first edges of the boxes, pixels of the map, whose centres are integers.
        end: (R,) last edges.
        num_bins: P, bins that a box is cut into.
        num_pixels: length of the map along the axis.
        sampling_ratio: points per bin, 0 for as many as the bin has pixels, rounded up.
    """
    bin_size = (end - start) / num_bins
    if sampling_ratio > 0:
        num_points = torch.full_like(start, sampling_ratio, dtype=torch.int64)
    else:
        num_points = torch.ceil(bin_size).to(torch.int64)
    most = max(int(num_points.max()), 1) if len(start) else 1
    point = torch.arange(most, device=start.device)
    bins = torch.arange(num_bins, device=start.device)
    # A box of no length has no points, and a bin of them is 0.
    points = num_points.clamp(min=1)[:, None, None]
    # In torchvision's order of operations, so that a point lies where it lies there to the bit.
    size = bin_size[:, None, None]
    where = start[:, None, None] + bins[:, None] * size  # (R, P, 1)
    where = where + (point + 0.5) * size / points  # (R, P, points)
    exists = point < num_points[:, None, None]
    counted = exists & (where >= -1) & (where <= num_pixels)
    where = torch.where(exists, where, where[..., :1])
    where = where.clamp(0, num_pixels - 1)  # the map is continued by its outermost pixels
    low = where.to(torch.int64)
    share = where - low
    scale = (counted / points).to(start.dtype)
    first = low.amin(dim=2)
    place = low - first[..., None]
    span = int(place.max()) + 2 if len(start) else 2
    weights = start.new_zeros(len(start), num_bins, span)
    weights.scatter_add_(2, place, (1 - share) * scale)
    weights.scatter_add_(2, place + 1, share * scale)
    needed = torch.arange(1, span + 1, device=start.device) * (weights != 0).any(dim=1)
    return AxisWeights(first, weights, needed.amax(dim=1).clamp(min=1))


@dataclass(frozen=True)
class Bags:
    """The pixels that are summed, and their weights, box by box and bin by bin.

    Attributes:
        pixels: (E,) int64 places in the map seen as (N * H * W, C).
        weights: (E,) float32.
        offsets: (R * P * P,) int64, where each bin's pixels begin.
        order: (R,) int64, which box each one is.
    """

    pixels: Tensor
    weights: Tensor
    offsets: Tensor
    order: Tensor


def bags_of_boxes(
    regions: Tensor,
    size: tuple[int, int],
    num_bins: int,
    *,
    spatial_scale: float,
    sampling_ratio: int = 0,
) -> Bags:
    """Lists the pixels of all bins of boxes.

    Args:
        regions: (R, 5) float32: index of the image, x0, y0, x1, y1 in pixels of the image.
        size: (height, width) of the map.
        num_bins: P, rows and columns of the result.
        spatial_scale: cells of the map per pixel of the image.
        sampling_ratio: see `axis_weights`.
    """
    height, width = size
    corners = regions[:, 1:] * spatial_scale - 0.5
    across = axis_weights(corners[:, 0], corners[:, 2], num_bins, width, sampling_ratio)
    down = axis_weights(corners[:, 1], corners[:, 3], num_bins, height, sampling_ratio)
    base = regions[:, 0].to(torch.int64) * height
    rows = (base[:, None] + down.first) * width
    # Boxes that need the same number of rows and columns are listed together.
    kinds = down.counts * (width + 2) + across.counts
    pixels, weights, lengths, order = [], [], [], []
    for kind in torch.unique(kinds).tolist():
        high, wide = divmod(kind, width + 2)
        index = torch.nonzero(kinds == kind).squeeze(1)
        row = _stretch(rows[index], high, width)  # (r, P, high)
        column = _stretch(across.first[index], wide, 1)
        # (r, P, 1, high, 1) and (r, 1, P, 1, wide) -> (r, P, P, high, wide)
        places = row[:, :, None, :, None] + column[:, None, :, None, :]
        share = (
            down.weights[index][:, :, None, :high, None]
            * across.weights[index][:, None, :, None, :wide]
        )
        pixels.append(places.flatten())
        weights.append(share.flatten())
        lengths.append(torch.full((len(index) * num_bins**2,), high * wide))
        order.append(index)
    if not order:
        nothing = torch.zeros(0, dtype=torch.int64)
        return Bags(nothing, regions.new_zeros(0), nothing, nothing)
    ends = torch.cat(lengths).cumsum(0)
    offsets = F.pad(ends[:-1], (1, 0))
    all_pixels = torch.cat(pixels).clamp_(max=int((base.max() + height) * width) - 1)
    return Bags(all_pixels, torch.cat(weights), offsets, torch.cat(order))


def _stretch(first: Tensor, number: int, step: int) -> Tensor:
    return first[..., None] + torch.arange(number) * step


def pool_boxes(
    feature: Tensor,
    regions: Tensor,
    num_bins: int,
    *,
    spatial_scale: float,
    sampling_ratio: int = 0,
) -> Tensor:
    """Computes `torchvision.ops.roi_align(…, aligned=True)`, with a gradient for the map.

    Args:
        feature: (N, C, H, W), fastest where it is channels-last; any float type.
        regions: (R, 5) float32, see `bags_of_boxes`.
        num_bins: P.
        spatial_scale: cells of the map per pixel of the image.
        sampling_ratio: see `axis_weights`.

    Returns:
        (R, C, P, P), channels-last, of the map's type.
    """
    sums, order = _sums(feature, regions, num_bins, spatial_scale, sampling_ratio)
    return torch.empty_like(sums).index_copy_(0, order, sums).permute(0, 3, 1, 2)


def _sums(
    feature: Tensor, regions: Tensor, num_bins: int, spatial_scale: float, sampling_ratio: int
) -> tuple[Tensor, Tensor]:
    """Returns the bins of the boxes, (R, P, P, C), and which box each one is."""
    num_images, channels, height, width = feature.shape
    with torch.no_grad():
        bags = bags_of_boxes(
            regions,
            (height, width),
            num_bins,
            spatial_scale=spatial_scale,
            sampling_ratio=sampling_ratio,
        )
    # (N, C, H, W) -> (N, H, W, C) -> (N * H * W, C): no copy of a channels-last map
    vectors = feature.permute(0, 2, 3, 1).reshape(num_images * height * width, channels)
    if not len(regions):
        return vectors[:0].reshape(0, num_bins, num_bins, channels), bags.order
    weights = bags.weights.to(feature.dtype)
    sums = F.embedding_bag(
        bags.pixels, vectors, bags.offsets, mode="sum", per_sample_weights=weights
    )
    return sums.unflatten(0, (-1, num_bins, num_bins)), bags.order


class FastRoIPooler(RoIPooler):
    """The same bins as `RoIPooler`'s, by weighted sums of pixels."""

    @classmethod
    def of(cls, pooler: RoIPooler) -> Self:
        """Returns what pools as another pooler does."""
        return cls(pooler.output_size, pooler.strides, pooler.sampling_ratio)

    def forward(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Pools the boxes of all images; see `RoIPooler.forward`. The result is channels-last."""
        regions = torch.cat(
            [torch.cat([b.new_full((len(b), 1), i), b], dim=1) for i, b in enumerate(boxes)]
        ).float()  # (R, 5)
        levels = assign_levels(regions[:, 1:], self.min_level, self.max_level)
        if len(features) == 1:
            levels = torch.zeros_like(levels)
        size = (len(regions), self.output_size, self.output_size, features[0].shape[1])
        pooled = features[0].new_empty(size)
        for level, (feature, stride) in enumerate(zip(features, self.strides, strict=True)):
            index = torch.nonzero(levels == level).squeeze(1)
            sums, order = _sums(
                feature, regions[index], self.output_size, 1.0 / stride, self.sampling_ratio
            )
            pooled.index_copy_(0, index[order], sums)
        return pooled.permute(0, 3, 1, 2)  # (R, P, P, C) -> (R, C, P, P)
