"""Suppression of many groups of boxes at once, as it can be exported. Engine-neutral."""

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import nms

from resnext_det.export.packages import load_package

OPSET = 20
"""Of ONNX; the newest that OpenVINO, ONNX Runtime and its quantisation all know well."""


def grouped_nms(boxes: Tensor, scores: Tensor, iou_thresh: float, floor: float) -> Tensor:
    """Suppresses within each group, by torchvision's operator.

    Groups are kept apart by a shift, in float64, which has room for it.

    Args:
        boxes: (G, S, 4) float32, xyxy, finite, not below 0.
        scores: (G, S) float32.
        iou_thresh: overlap above which the lower-scored box of a group goes.
        floor: boxes that are not scored above it go.

    Returns:
        (M, 2) int64: group and place in it of each box that is left.
    """
    group, place = torch.nonzero(scores > floor, as_tuple=True)
    wide = boxes.to(torch.float64)
    shifted = wide[group, place] + (group * (wide.max() + 1))[:, None]
    keep = nms(shifted, scores[group, place].to(torch.float64), iou_thresh)
    return torch.stack([group[keep], place[keep]], dim=1)


# An operator of our own in the graph is what torch.onnx is told to write as ONNX's, which
# suppresses within groups by itself.
@torch.library.custom_op("resnext_det::grouped_nms", mutates_args=())
def opaque_grouped_nms(boxes: Tensor, scores: Tensor, iou_thresh: float, floor: float) -> Tensor:
    """`grouped_nms` as one operator."""
    return grouped_nms(boxes, scores, iou_thresh, floor)


@opaque_grouped_nms.register_fake
def _(boxes: Tensor, scores: Tensor, iou_thresh: float, floor: float) -> Tensor:
    number = torch.library.get_ctx().new_dynamic_size()
    return boxes.new_empty((number, 2), dtype=torch.int64)


def onnx_translations() -> dict[Any, Any]:
    """Returns how ONNX says `opaque_grouped_nms`, for torch.onnx's `custom_translation_table`.

    Raises:
        UserError: onnxscript is not installed.
    """
    op = getattr(load_package("onnxscript"), f"opset{OPSET}")

    def translate(boxes: Any, scores: Any, iou_thresh: float, floor: float) -> Any:
        # Groups are its batches, each of one class: (M, 3) of batch, class and place.
        most = torch.iinfo(torch.int32).max
        chosen = op.NonMaxSuppression(boxes, op.Unsqueeze(scores, [1]), most, iou_thresh, floor)
        return op.Gather(chosen, [0, 2], axis=1)

    return {torch.ops.resnext_det.grouped_nms.default: translate}
