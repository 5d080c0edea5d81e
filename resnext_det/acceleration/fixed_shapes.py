"""Faster R-CNN in tensors whose shapes depend on the images' size alone. Portable.

How many boxes survive a suppression is known only after it: a GPU's work is then waited for, and
cannot be recorded. Here boxes that do not survive stay, marked as unusable, up to the last
selection; the same boxes are found, but for rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import roi_align

from resnext_det.acceleration.first_stage import best_of_level
from resnext_det.acceleration.gpu_pooling import GpuRoIPooler
from resnext_det.acceleration.suppression import keep_of_groups
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.pooling import RoIPooler, assign_levels
from resnext_det.engines.portable.rpn import RPN


@dataclass(frozen=True)
class Regions:
    """Regions of all images, best first.

    Attributes:
        boxes: (N, P, 4) float32, xyxy, pixels of the resized images, inside them.
        logits: (N, P) float32, -inf where not usable.
        usable: (N, P) bool; the others fill up, after the usable ones, and are not regions.
        finite: 0-d bool, whether all boxes and logits were that were chosen from.
        settled: 0-d bool, whether the suppression came to its end; else all of it is wrong.
    """

    boxes: Tensor
    logits: Tensor
    usable: Tensor
    finite: Tensor
    settled: Tensor


@dataclass(frozen=True)
class Predictions:
    """What the second stage says of the regions of all images.

    Attributes:
        boxes: (N, P, K, 4), or (N, P, 1, 4) where one box serves all classes; float32, not
            clipped.
        probabilities: (N, P, K + 1) float32, the background last.
        usable: (N, P) bool, see `Regions`.
        settled: see `Regions`.
    """

    boxes: Tensor
    probabilities: Tensor
    usable: Tensor
    settled: Tensor


def anchors_of(rpn: RPN, height: int, width: int) -> list[Tensor]:
    """Lays the anchors of a padded size, which a recording cannot do: per level (R_l, 4)."""
    sizes = [[-(-side // s) for side in (height, width)] for s in rpn.anchor_generator.strides]
    return rpn.anchor_generator([torch.empty(0, 0, *size, device="meta") for size in sizes])


def predict(
    model: FasterRCNN,
    images: Tensor,
    sizes: Tensor,
    anchors: Sequence[Tensor],
    rounds: int | None = None,
) -> Predictions:
    """Runs everything between the images and the last selection.

    Args:
        model: in evaluation mode; its backbone, RPN head and box head may have any precision.
        images: (N, 3, H, W), normalised and padded.
        sizes: (N, 2) float32, rows and columns of each without padding.
        anchors: of the padded size, see `anchors_of`.
        rounds: see `kept`.
    """
    rpn, heads = model.proposal_generator, model.roi_heads
    features = model.backbone(_as_weights_of(model.backbone, images))
    maps = [features[name] for name in rpn.in_features]
    logits, deltas = rpn.rpn_head(maps)
    regions = propose(rpn, anchors, logits, deltas, sizes, rounds)
    pooled = pool(heads.box_pooler, [features[name] for name in heads.in_features], regions)
    scores, shifts = heads.box_predictor(heads.box_head(_as_weights_of(heads.box_head, pooled)))
    boxes, probabilities = heads.box_predictor.predict(
        scores.float(), shifts.float(), regions.boxes.flatten(0, 1)
    )
    shape = regions.usable.shape
    return Predictions(
        boxes.unflatten(1, (-1, 4)).unflatten(0, shape),
        probabilities.unflatten(0, shape),
        regions.usable,
        regions.settled,
    )


def propose(
    rpn: RPN,
    anchors: Sequence[Tensor],
    logits: Sequence[Tensor],
    deltas: Sequence[Tensor],
    sizes: Tensor,
    rounds: int | None = None,
) -> Regions:
    """Chooses regions as `RPN.propose` does; only the best anchors are decoded.

    Args:
        rpn: for its settings.
        anchors: per level (R_l, 4).
        logits: per level (N, R_l).
        deltas: per level (N, R_l, 4).
        sizes: (N, 2) float32, rows and columns of each image.
        rounds: see `kept`.
    """
    mode = 0 if rpn.training else 1
    most, topk = rpn.pre_nms_topk[mode], rpn.post_nms_topk[mode]
    levels = [
        best_of_level(rpn.transform, most, *of_level)
        for of_level in zip(anchors, logits, deltas, strict=True)
    ]
    longest = max(scores.shape[1] for _, scores in levels)
    boxes = torch.stack([_filled(b, longest, 0.0) for b, _ in levels], dim=1)  # (N, L, R, 4)
    scores = torch.stack([_filled(s, longest, -torch.inf) for _, s in levels], dim=1)
    sound = [_filled(b.isfinite().all(dim=-1) & s.isfinite(), longest, True) for b, s in levels]
    finite = torch.stack(sound, dim=1)
    limits = sizes.flip(1).repeat(1, 2)[:, None, None]  # columns, rows, columns, rows
    boxes = torch.minimum(boxes.clamp(min=0), limits)
    wide = (boxes[..., 2:] - boxes[..., :2] > rpn.min_box_size).all(dim=-1)
    keep, settled = keep_of_groups(
        boxes.flatten(0, 1),
        (finite & wide & scores.isfinite()).flatten(0, 1),
        rpn.nms_thresh,
        rounds,
    )
    scores = scores.masked_fill(~keep.view_as(scores), -torch.inf).flatten(1)
    best, index = scores.topk(min(topk, scores.shape[1]), dim=1)
    usable = best > -torch.inf
    chosen = boxes.flatten(1, 2).gather(1, index[..., None].expand(-1, -1, 4))
    chosen = chosen.masked_fill(~usable[..., None], 0.0)
    return Regions(chosen, best, usable, finite.all(), settled)


def pool(pooler: RoIPooler, features: Sequence[Tensor], regions: Regions) -> Tensor:
    """Pools each region from the level that suits it; those that are not usable give 0.

    Args:
        pooler: for its settings, or for its kernel where it is a `GpuRoIPooler`.
        features: per level (N, C, H, W).
        regions: of N images.

    Returns:
        (N * P, C, output_size, output_size), float32, or of the features' type by the kernel.
    """
    count, size = regions.usable.shape
    boxes, usable = regions.boxes.flatten(0, 1), regions.usable.flatten()
    image_of = torch.arange(count, device=boxes.device).repeat_interleave(size)
    if isinstance(pooler, GpuRoIPooler):
        return pooler.pool(features, boxes, image_of, usable)
    return _pooled_by_all(pooler, features, boxes, image_of, usable)


def _pooled_by_all(
    pooler: RoIPooler,
    features: Sequence[Tensor],
    boxes: Tensor,
    image_of: Tensor,
    usable: Tensor,
) -> Tensor:
    """Lets every level pool all boxes by torchvision's operator.

    Those of other levels are boxes of no size there, which have no sampling points: they cost
    nothing and give 0.
    """
    # Boxes and maps have one type in the operator, and float16 would move the boxes by up to
    # half a pixel.
    level_of = assign_levels(boxes, pooler.min_level, pooler.max_level)
    pooled = None
    for level, (feature, stride) in enumerate(zip(features, pooler.strides, strict=True)):
        elsewhere = (level_of != level) | ~usable
        rois = torch.cat([image_of[:, None], boxes.masked_fill(elsewhere[:, None], 0.0)], dim=1)
        part = roi_align(
            feature.float(),
            rois,
            pooler.output_size,
            spatial_scale=1.0 / stride,
            sampling_ratio=pooler.sampling_ratio,
            aligned=True,
        )
        # A fixed number of points is taken in a box of no size, too.
        part = (
            part.masked_fill(elsewhere[:, None, None, None], 0.0) if pooler.sampling_ratio else part
        )
        pooled = part if pooled is None else pooled.add_(part)
    assert pooled is not None
    return pooled


def _filled(values: Tensor, length: int, filler: float) -> Tensor:
    """Lengthens dimension 1 to `length`."""
    missing = values.new_full((len(values), length - values.shape[1], *values.shape[2:]), filler)
    return torch.cat([values, missing], dim=1)


def _as_weights_of(module: torch.nn.Module, values: Tensor) -> Tensor:
    """Casts to the precision of a module's weights."""
    return values.to(next(module.parameters()).dtype)
