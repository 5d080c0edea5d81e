"""The second stage's layers: region features to class scores and box deltas. Portable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnext_det.engines.portable.box_regression import BoxTransform, box_regression_loss


class BoxHead(nn.Sequential):
    """3x3 convs (norm, ReLU), then linear layers (ReLU): Detectron2's FastRCNNConvFCHead.

    Convolutions start He-normal (fan out), linear layers uniform in ±sqrt(3 / fan in)
    ("MSRAFill" and "XavierFill" of Caffe2), biases 0.

    Args:
        in_channels: channels of the region features.
        resolution: their rows and columns.
        conv_dims: output channels of the convs.
        fc_dims: output widths of the linear layers.
        conv: builds a 3x3 conv with its norm from (in, out) channels.
    """

    def __init__(
        self,
        in_channels: int,
        resolution: int,
        *,
        conv_dims: Sequence[int],
        fc_dims: Sequence[int],
        conv: Callable[[int, int], nn.Conv2d],
    ) -> None:
        super().__init__()
        convs, linears = [], []
        for index, dim in enumerate(conv_dims, start=1):
            convs.append(conv(in_channels, dim))
            self.add_module(f"conv{index}", convs[-1])
            self.add_module(f"conv_relu{index}", nn.ReLU())
            in_channels = dim
        self.out_channels = in_channels * resolution**2
        for index, dim in enumerate(fc_dims, start=1):
            if index == 1:
                self.add_module("flatten", nn.Flatten())
            linears.append(nn.Linear(self.out_channels, dim))
            self.add_module(f"fc{index}", linears[-1])
            self.add_module(f"fc_relu{index}", nn.ReLU())
            self.out_channels = dim
        for layer in convs:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        for layer in linears:
            nn.init.kaiming_uniform_(layer.weight, a=1)
        for layer in (*convs, *linears):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@dataclass
class Regions:
    """The sampled regions of one image, with what they should become.

    Attributes:
        boxes: (R, 4) float32, xyxy, pixels of the resized image.
        gt_classes: (R,) int64 in 0 … K, K being the background.
        gt_boxes: (R, 4) matched ground truth; of no meaning for background.
    """

    boxes: Tensor
    gt_classes: Tensor
    gt_boxes: Tensor


class BoxPredictor(nn.Module):
    """Two linear layers: K + 1 class scores (background last), and box deltas.

    Weights start normal with deviation 0.01 (scores) and 0.001 (deltas), biases 0.

    Args:
        in_channels: width of the region features.
        num_classes: K, without the background.
        transform: how deltas relate to proposals.
        class_agnostic: one box for all classes instead of one for each.
        box_loss_type: see `box_regression_loss`.
        smooth_l1_beta: see `box_regression_loss`.
        box_loss_weight: factor of loss_box_reg.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        transform: BoxTransform,
        class_agnostic: bool = False,
        box_loss_type: str = "smooth_l1",
        smooth_l1_beta: float = 0.0,
        box_loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.transform = transform
        self.box_loss_type = box_loss_type
        self.smooth_l1_beta = smooth_l1_beta
        self.box_loss_weight = box_loss_weight
        self.cls_score = nn.Linear(in_channels, num_classes + 1)
        self.bbox_pred = nn.Linear(in_channels, 4 * (1 if class_agnostic else num_classes))
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        nn.init.zeros_(self.cls_score.bias)
        nn.init.zeros_(self.bbox_pred.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Predicts for every region.

        Args:
            features: (R, C) or (R, C, H, W).

        Returns:
            (R, K + 1) logits, and (R, K * 4) or (R, 4) deltas.
        """
        flat = features.flatten(1)
        return self.cls_score(flat), self.bbox_pred(flat)

    def losses(
        self, logits: Tensor, deltas: Tensor, boxes: Tensor, gt_classes: Tensor, gt_boxes: Tensor
    ) -> dict[str, Tensor]:
        """Mean cross-entropy, and localisation over foreground divided by all regions.

        Args:
            logits: (R, K + 1).
            deltas: (R, K * 4) or (R, 4).
            boxes: (R, 4) regions of all images.
            gt_classes: (R,) in 0 … K.
            gt_boxes: (R, 4).

        Returns:
            Scalars loss_cls and loss_box_reg, 0 without regions.
        """
        foreground = torch.nonzero(gt_classes < self.num_classes).squeeze(1)
        grouped = deltas.unflatten(1, (-1, 4))  # (R, K or 1, 4)
        column = gt_classes[foreground] if grouped.shape[1] > 1 else 0
        localisation = box_regression_loss(
            grouped[foreground, column],
            boxes[foreground],
            gt_boxes[foreground],
            self.transform,
            loss_type=self.box_loss_type,
            smooth_l1_beta=self.smooth_l1_beta,
        )
        num_regions = len(gt_classes)
        # The mean over nothing is not a number; Detectron2 says 0 and keeps the graph.
        cls = F.cross_entropy(logits, gt_classes) if num_regions else logits.sum() * 0.0
        return {
            "loss_cls": cls,
            "loss_box_reg": localisation / max(num_regions, 1) * self.box_loss_weight,
        }

    def predict(self, logits: Tensor, deltas: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Decodes predictions: (R, K * 4 or 4) boxes and (R, K + 1) probabilities."""
        return self.transform.decode(deltas, boxes), logits.softmax(dim=-1)
