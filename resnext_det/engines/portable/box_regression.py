"""Boxes as offsets from reference boxes, and the losses on them. Portable."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss

# Largest log scale: what turns a 16-pixel box into a 1000-pixel one
# (detectron2/modeling/box_regression.py, after the original Detectron).
SCALE_CLAMP = math.log(1000.0 / 16)

_IOU_LOSSES: dict[str, Callable[..., Tensor]] = {
    "giou": generalized_box_iou_loss,
    "diou": distance_box_iou_loss,
    "ciou": complete_box_iou_loss,
}
BOX_LOSSES = ("smooth_l1", *_IOU_LOSSES)


def _center_form(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    widths = boxes[:, 2] - boxes[:, 0]
    heights = boxes[:, 3] - boxes[:, 1]
    return boxes[:, 0] + 0.5 * widths, boxes[:, 1] + 0.5 * heights, widths, heights


class BoxTransform:
    """R-CNN's (dx, dy, dw, dh): a shift in units of the reference box, and log scales.

    Args:
        weights: factors on (dx, dy, dw, dh) that bring targets near unit variance.
        scale_clamp: upper limit of dw and dh before the exponential.
    """

    def __init__(self, weights: Sequence[float], scale_clamp: float = SCALE_CLAMP) -> None:
        self.weights = tuple(float(w) for w in weights)
        self.scale_clamp = scale_clamp

    def encode(self, references: Tensor, targets: Tensor) -> Tensor:
        """Deltas that carry references to targets.

        Args:
            references: (R, 4) xyxy, each wider than 0.
            targets: (R, 4) xyxy.

        Returns:
            (R, 4) deltas.
        """
        assert bool((references[:, 2] > references[:, 0]).all()), "a reference box has no width"
        x, y, w, h = _center_form(references)
        target_x, target_y, target_w, target_h = _center_form(targets)
        weight_x, weight_y, weight_w, weight_h = self.weights
        return torch.stack(
            (
                weight_x * (target_x - x) / w,
                weight_y * (target_y - y) / h,
                weight_w * torch.log(target_w / w),
                weight_h * torch.log(target_h / h),
            ),
            dim=1,
        )

    def decode(self, deltas: Tensor, references: Tensor) -> Tensor:
        """Applies deltas to references, in float32.

        Args:
            deltas: (R, K * 4), K boxes per reference (one per class, or one).
            references: (R, 4) xyxy.

        Returns:
            (R, K * 4) xyxy, not clipped.
        """
        grouped = deltas.float().unflatten(1, (-1, 4))  # (R, K, 4)
        x, y, w, h = (v[:, None] for v in _center_form(references.float()))
        dx, dy, dw, dh = (
            d / weight for d, weight in zip(grouped.unbind(-1), self.weights, strict=True)
        )
        center_x, center_y = dx * w + x, dy * h + y
        half_w = 0.5 * (torch.exp(dw.clamp(max=self.scale_clamp)) * w)
        half_h = 0.5 * (torch.exp(dh.clamp(max=self.scale_clamp)) * h)
        corners = (center_x - half_w, center_y - half_h, center_x + half_w, center_y + half_h)
        return torch.stack(corners, dim=-1).flatten(1)


def box_regression_loss(
    deltas: Tensor,
    references: Tensor,
    targets: Tensor,
    transform: BoxTransform,
    *,
    loss_type: str = "smooth_l1",
    smooth_l1_beta: float = 0.0,
) -> Tensor:
    """Sum of the localisation loss over foreground boxes; the caller divides.

    Args:
        deltas: (F, 4) predictions.
        references: (F, 4) xyxy, what the deltas refer to.
        targets: (F, 4) xyxy, ground truth.
        transform: how deltas relate to boxes.
        loss_type: one of `BOX_LOSSES`.
        smooth_l1_beta: where the quadratic part ends; 0 is plain L1, Detectron2's
            default (torchvision's detector uses 1/9).

    Returns:
        A scalar, 0 for F = 0, still joined to the graph.
    """
    if loss_type != "smooth_l1":
        boxes = transform.decode(deltas, references)
        return _IOU_LOSSES[loss_type](boxes, targets, reduction="sum")
    wanted = transform.encode(references, targets)
    # Below 1e-5 fvcore's smooth_l1_loss, which Detectron2 calls, is exactly L1.
    if smooth_l1_beta < 1e-5:
        return F.l1_loss(deltas, wanted, reduction="sum")
    return F.smooth_l1_loss(deltas, wanted, reduction="sum", beta=smooth_l1_beta)
