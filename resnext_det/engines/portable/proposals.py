"""Region proposals: their data class and the choice of the best ones. Portable."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image

NOT_FINITE = "predicted boxes or scores are not finite: training has diverged"


@dataclass
class Proposals:
    """Regions of one image, best first.

    Attributes:
        boxes: (R, 4) float32, xyxy, pixels of the resized image, inside it.
        logits: (R,) objectness before the sigmoid.
        image_size: (height, width) of the resized image, without padding.
    """

    boxes: Tensor
    logits: Tensor
    image_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.boxes)


def wide_enough(boxes: Tensor, min_size: float = 0.0) -> Tensor:
    """Which boxes have both sides strictly longer than `min_size` pixels: (R,) bool."""
    return ((boxes[:, 2:] - boxes[:, :2]) > min_size).all(dim=1)


def select_proposals(
    boxes: Sequence[Tensor],
    logits: Sequence[Tensor],
    image_sizes: Sequence[tuple[int, int]],
    *,
    nms_thresh: float,
    pre_nms_topk: int,
    post_nms_topk: int,
    min_box_size: float = 0.0,
    training: bool = False,
) -> list[Proposals]:
    """Keeps the best of each level, suppresses within levels, keeps the best of all.

    Args:
        boxes: per level (N, R_l, 4) decoded boxes, not clipped.
        logits: per level (N, R_l).
        image_sizes: (height, width) of each image without padding.
        nms_thresh: overlap above which the lower-scored box of a level goes.
        pre_nms_topk: kept per level before suppression.
        post_nms_topk: kept over all levels afterwards.
        min_box_size: boxes with a side not longer than this go, pixels.
        training: a value that is not finite is an error instead of being dropped.

    Returns:
        One `Proposals` per image.

    Raises:
        FloatingPointError: a box or logit is not finite while training.
    """
    tops = [_top_of_level(b, scores, pre_nms_topk) for b, scores in zip(boxes, logits, strict=True)]
    top_boxes = torch.cat([b for b, _ in tops], dim=1)  # (N, sum of k, 4)
    top_logits = torch.cat([scores for _, scores in tops], dim=1)  # (N, sum of k)
    levels = torch.cat(
        [torch.full_like(scores[0], i, dtype=torch.int64) for i, (_, scores) in enumerate(tops)]
    )
    results = []
    for image_boxes, image_logits, size in zip(top_boxes, top_logits, image_sizes, strict=True):
        finite = image_boxes.isfinite().all(dim=1) & image_logits.isfinite()
        if training and not bool(finite.all()):
            raise FloatingPointError(NOT_FINITE)
        image_boxes = clip_boxes_to_image(image_boxes, size)
        usable = finite & wide_enough(image_boxes, min_box_size)
        image_boxes, image_logits = image_boxes[usable], image_logits[usable]
        keep = batched_nms(image_boxes.float(), image_logits, levels[usable], nms_thresh)
        keep = keep[:post_nms_topk]
        results.append(Proposals(image_boxes[keep], image_logits[keep], size))
    return results


def _top_of_level(boxes: Tensor, logits: Tensor, topk: int) -> tuple[Tensor, Tensor]:
    best, index = logits.topk(min(topk, logits.shape[1]), dim=1)
    return boxes.gather(1, index[..., None].expand(-1, -1, 4)), best
