"""Faster R-CNN: images in, losses or detections out. Portable."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnext_det.engines.portable.fpn import FPN
from resnext_det.engines.portable.postprocess import rescale_detections
from resnext_det.engines.portable.proposals import Proposals
from resnext_det.engines.portable.roi_heads import RoIHeads
from resnext_det.engines.portable.rpn import RPN
from resnext_det.structures import Detections, DetectionSample


class FasterRCNN(nn.Module):
    """Two-stage detector with the parameter names of Detectron2's GeneralizedRCNN.

    Args:
        backbone: feature pyramid over its bottom-up network.
        proposal_generator: first stage.
        roi_heads: second stage.
        pixel_mean: per channel, in the order and the 0–255 units of the images.
        pixel_std: likewise.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        *,
        backbone: FPN,
        proposal_generator: RPN,
        roi_heads: RoIHeads,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.proposal_generator = proposal_generator
        self.roi_heads = roi_heads
        for name, values in (("pixel_mean", pixel_mean), ("pixel_std", pixel_std)):
            # Not in checkpoints, as in Detectron2.
            buffer = torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, buffer, persistent=False)

    def forward(self, samples: Sequence[DetectionSample]) -> dict[str, Tensor] | list[Detections]:
        """Losses while training, detections otherwise.

        Returns:
            Training: scalars loss_cls, loss_box_reg, loss_rpn_cls, loss_rpn_loc.
            Evaluation: per image the detections, in pixels of the image on disk,
            best first, on the model's device.

        Raises:
            ValueError: a sample has no ground truth while training.
            FloatingPointError: predictions are not finite while training.
        """
        return self.losses(samples) if self.training else self.detect(samples)

    def parts_to_compile(self) -> tuple[nn.Module, ...]:
        """Backbone and RPN head: what follows depends on the boxes found."""
        return self.backbone, self.proposal_generator.rpn_head

    def losses(self, samples: Sequence[DetectionSample]) -> dict[str, Tensor]:
        """The four losses of a batch; see `forward`."""
        gt_boxes, gt_classes = self._ground_truth(samples)
        images, sizes = self.preprocess(samples)
        features = self.backbone(images)
        seeds = [sample.sampling_seed for sample in samples]
        proposals, rpn_losses = self.proposal_generator(features, sizes, gt_boxes, seeds)
        roi_losses = self.roi_heads.training_losses(
            features, proposals, gt_boxes, gt_classes, seeds
        )
        return roi_losses | rpn_losses

    def detect(self, samples: Sequence[DetectionSample]) -> list[Detections]:
        """Detections of each image; see `forward`."""
        images, sizes = self.preprocess(samples)
        features, proposals = self.first_stage(images, sizes)
        detections = self.roi_heads.detect(features, proposals)
        return [
            rescale_detections(found, size, sample.height, sample.width)
            for found, size, sample in zip(detections, sizes, samples, strict=True)
        ]

    def first_stage(
        self, images: Tensor, sizes: Sequence[tuple[int, int]]
    ) -> tuple[dict[str, Tensor], list[Proposals]]:
        """Proposes regions in evaluation mode.

        Args:
            images: (N, 3, H, W), normalised and padded.
            sizes: (height, width) of each without padding.

        Returns:
            (N, C, H, W) maps by name, and the proposals of each image.
        """
        features = self.backbone(images)
        proposals, _ = self.proposal_generator(features, sizes)
        return features, proposals

    def preprocess(
        self, samples: Sequence[DetectionSample]
    ) -> tuple[Tensor, list[tuple[int, int]]]:
        """Normalises, then pads right and bottom with zeros to one size the FPN divides.

        Returns:
            (N, 3, H, W) float32, and each image's (height, width) before padding.
        """
        device = self.pixel_mean.device
        images = [(s.image.to(device) - self.pixel_mean) / self.pixel_std for s in samples]
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        divisor = max(self.backbone.size_divisibility, 1)
        height, width = (-(-max(side) // divisor) * divisor for side in zip(*sizes, strict=True))
        padded = [F.pad(i, (0, width - i.shape[-1], 0, height - i.shape[-2])) for i in images]
        return torch.stack(padded), sizes

    def _ground_truth(
        self, samples: Sequence[DetectionSample]
    ) -> tuple[list[Tensor], list[Tensor]]:
        boxes, classes = [], []
        for sample in samples:
            if sample.gt_boxes is None or sample.gt_classes is None:
                raise ValueError(f"{sample.file_name}: no ground truth to train on")
            boxes.append(sample.gt_boxes.to(self.pixel_mean.device, torch.float32))
            classes.append(sample.gt_classes.to(self.pixel_mean.device))
        return boxes, classes
