"""Faster R-CNN as it is run when training is over. Portable."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from resnext_det.acceleration.first_stage import FirstStage
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.pooling import RoIPooler
from resnext_det.engines.portable.proposals import Proposals, select_proposals
from resnext_det.structures import Detections, DetectionSample


class Float32Pooler(RoIPooler):
    """A pooler of features of lower precision, in which places of pixels could not be told."""

    def forward(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Pools the boxes of all images; see `RoIPooler.forward`. The result is float32."""
        return super().forward([feature.float() for feature in features], boxes)


class LoweredHead(nn.Module):
    """A box head that computes in its own precision, between float32 and float32.

    Args:
        head: from region features to vectors.
        dtype: of its weights.
    """

    def __init__(self, head: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.head = head
        self.dtype = dtype

    def forward(self, pooled: Tensor) -> Tensor:
        """Maps (R, C, P, P) to (R, D) float32."""
        return self.head(pooled.to(self.dtype)).float()


class TrainedDetector(FasterRCNN):
    """A detector of another one's parts, on its device. It cannot be trained."""

    def __init__(self, model: FasterRCNN) -> None:
        super().__init__(
            backbone=model.backbone,
            proposal_generator=model.proposal_generator,
            roi_heads=model.roi_heads,
            pixel_mean=model.pixel_mean.flatten().tolist(),
            pixel_std=model.pixel_std.flatten().tolist(),
        )
        self.to(model.pixel_mean.device)
        self.eval()

    def forward(self, samples: Sequence[DetectionSample]) -> list[Detections]:
        """Detections of each image, without gradients; see `FasterRCNN.forward`."""
        return self.detect(samples)


class FastDetector(TrainedDetector):
    """Finds what `FasterRCNN.detect` finds, but for rounding.

    Boxes, scores and suppression are computed in float32 whatever the features are in, and so
    are the last two linear layers.

    Args:
        model: whose parts have been replaced by fast ones, on its device.
        dtype: of the images that the first stage takes.
        memory_format: likewise.
    """

    def __init__(
        self,
        model: FasterRCNN,
        *,
        dtype: torch.dtype,
        memory_format: torch.memory_format,
    ) -> None:
        super().__init__(model)
        self.stage = FirstStage(model.backbone, model.proposal_generator)
        self.dtype = dtype
        self.memory_format = memory_format

    @torch.no_grad()
    def detect(self, samples: Sequence[DetectionSample]) -> list[Detections]:
        """Detections of each image; see `FasterRCNN.forward`."""
        return super().detect(samples)

    def preprocess(
        self, samples: Sequence[DetectionSample]
    ) -> tuple[Tensor, list[tuple[int, int]]]:
        """Normalises and pads in float32; see `FasterRCNN.preprocess`."""
        images, sizes = super().preprocess(samples)
        return images.to(self.dtype, memory_format=self.memory_format), sizes

    def first_stage(
        self, images: Tensor, sizes: Sequence[tuple[int, int]]
    ) -> tuple[dict[str, Tensor], list[Proposals]]:
        """Decodes the best anchors alone; see `FasterRCNN.first_stage`."""
        candidates, rpn = self.stage(images), self.proposal_generator
        proposals = select_proposals(
            candidates.boxes,
            candidates.logits,
            sizes,
            nms_thresh=rpn.nms_thresh,
            pre_nms_topk=rpn.pre_nms_topk[1],
            post_nms_topk=rpn.post_nms_topk[1],
            min_box_size=rpn.min_box_size,
        )
        return candidates.features, proposals
