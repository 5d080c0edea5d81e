"""The region proposal network: head, losses and proposals. Portable."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnext_det.engines.portable.anchors import AnchorGenerator
from resnext_det.engines.portable.box_regression import BoxTransform, box_regression_loss
from resnext_det.engines.portable.matching import Matcher
from resnext_det.engines.portable.proposals import Proposals, select_proposals
from resnext_det.engines.portable.sampled_head import predict_sampled
from resnext_det.engines.portable.sampling import generator_of, sample_batch
from resnext_det.seeding import ANCHORS


class _ConvReLU(nn.Conv2d):
    """3x3 conv, ReLU; the parameter names are those of the conv alone."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(super().forward(input))


class RPNHead(nn.Module):
    """3x3 conv, ReLU, then 1x1 convs to logits and to deltas; shared by all levels.

    Weights start normal with deviation 0.01 and biases 0 (Detectron2's StandardRPNHead).

    Args:
        in_channels: channels of every feature map.
        num_anchors: A, anchors per cell.
        conv_dims: output channels of the 3x3 convs, -1 for as many as come in.
    """

    def __init__(
        self, in_channels: int, num_anchors: int, conv_dims: Sequence[int] = (-1,)
    ) -> None:
        super().__init__()
        convs: list[nn.Module] = []
        channels = in_channels
        for dim in conv_dims:
            convs.append(_ConvReLU(channels, channels if dim == -1 else dim))
            channels = channels if dim == -1 else dim
        # One conv is `conv`, several are `conv.conv0`, `conv.conv1`, …: Detectron2's names.
        self.conv = convs[0] if len(convs) == 1 else nn.Sequential()
        if len(convs) > 1:
            for index, conv in enumerate(convs):
                self.conv.add_module(f"conv{index}", conv)
        self.objectness_logits = nn.Conv2d(channels, num_anchors, kernel_size=1)
        self.anchor_deltas = nn.Conv2d(channels, num_anchors * 4, kernel_size=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Predicts for every anchor.

        Args:
            features: per level (N, C, H, W).

        Returns:
            Per level (N, H * W * A) logits, and (N, H * W * A, 4) deltas, in the order
            of `AnchorGenerator`.
        """
        logits, deltas = [], []
        for feature in features:
            hidden = self.conv(feature)
            # (N, A, H, W) -> (N, H, W, A) -> (N, H * W * A)
            logits.append(self.objectness_logits(hidden).permute(0, 2, 3, 1).flatten(1))
            # (N, A * 4, H, W) -> (N, A, 4, H, W) -> (N, H, W, A, 4) -> (N, H * W * A, 4)
            per_anchor = self.anchor_deltas(hidden).unflatten(1, (-1, 4))
            deltas.append(per_anchor.permute(0, 3, 4, 1, 2).flatten(1, 3))
        return logits, deltas


class RPN(nn.Module):
    """Proposes regions, and learns to.

    Args:
        in_features: names of the feature maps, finest first.
        rpn_head: predicts logits and deltas.
        anchor_generator: lays the anchors.
        matcher: labels anchors by their overlap with ground truth.
        transform: how deltas relate to anchors.
        batch_size_per_image: anchors sampled per image; the losses are divided by it
            whatever number was found.
        positive_fraction: largest share of foreground among them.
        pre_nms_topk: (training, test), per level.
        post_nms_topk: (training, test), per image.
        nms_thresh: see `select_proposals`.
        min_box_size: see `select_proposals`.
        boundary_thresh: anchors that leave the image by more pixels are not trained
            on; negative for no limit.
        loss_weights: factors of (loss_rpn_cls, loss_rpn_loc).
        box_loss_type: see `box_regression_loss`.
        smooth_l1_beta: see `box_regression_loss`.
        sampled_anchors: the losses' gradients come from the head computed again where anchors
            were sampled; of the head everywhere, which proposes, no graph is kept.

    Raises:
        ValueError: sampled_anchors, and the head has several 3x3 convolutions.
    """

    def __init__(
        self,
        *,
        in_features: Sequence[str],
        rpn_head: RPNHead,
        anchor_generator: AnchorGenerator,
        matcher: Matcher,
        transform: BoxTransform,
        batch_size_per_image: int = 256,
        positive_fraction: float = 0.5,
        pre_nms_topk: tuple[int, int] = (2000, 1000),
        post_nms_topk: tuple[int, int] = (1000, 1000),
        nms_thresh: float = 0.7,
        min_box_size: float = 0.0,
        boundary_thresh: float = -1.0,
        loss_weights: tuple[float, float] = (1.0, 1.0),
        box_loss_type: str = "smooth_l1",
        smooth_l1_beta: float = 0.0,
        sampled_anchors: bool = False,
    ) -> None:
        super().__init__()
        if sampled_anchors and isinstance(rpn_head.conv, nn.Sequential):
            raise ValueError("sampled_anchors takes a head of one 3x3 convolution")
        self.in_features = tuple(in_features)
        self.rpn_head = rpn_head
        self.anchor_generator = anchor_generator
        self.matcher = matcher
        self.transform = transform
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction
        self.pre_nms_topk = pre_nms_topk
        self.post_nms_topk = post_nms_topk
        self.nms_thresh = nms_thresh
        self.min_box_size = min_box_size
        self.boundary_thresh = boundary_thresh
        self.loss_weights = loss_weights
        self.box_loss_type = box_loss_type
        self.smooth_l1_beta = smooth_l1_beta
        self.sampled_anchors = sampled_anchors

    def forward(
        self,
        features: Mapping[str, Tensor],
        image_sizes: Sequence[tuple[int, int]],
        gt_boxes: Sequence[Tensor] | None = None,
        seeds: Sequence[int | None] | None = None,
    ) -> tuple[list[Proposals], dict[str, Tensor]]:
        """Proposes regions, with the losses while training.

        Args:
            features: (N, C, H, W) maps by name.
            image_sizes: (height, width) of each image without padding.
            gt_boxes: per image (G, 4) xyxy, needed while training.
            seeds: see `label_anchors`.

        Returns:
            One `Proposals` per image, and the losses (empty outside training).
        """
        maps = [features[name] for name in self.in_features]
        anchors = self.anchor_generator(maps)
        sparse = self.training and self.sampled_anchors
        with torch.no_grad() if sparse else nullcontext():
            logits, deltas = self.rpn_head(maps)
        losses = {}
        if self.training:
            assert gt_boxes is not None, "training needs ground truth"
            labels, matched = self.label_anchors(anchors, gt_boxes, image_sizes, seeds)
            if sparse:
                losses = self.sampled_losses(anchors, maps, labels, matched)
            else:
                losses = self.losses(anchors, logits, deltas, labels, matched)
        return self.propose(anchors, logits, deltas, image_sizes), losses

    @torch.no_grad()
    def label_anchors(
        self,
        anchors: Sequence[Tensor],
        gt_boxes: Sequence[Tensor],
        image_sizes: Sequence[tuple[int, int]],
        seeds: Sequence[int | None] | None = None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Labels anchors and samples those that the losses see.

        Args:
            anchors: per level (R_l, 4).
            gt_boxes: per image (G, 4).
            image_sizes: (height, width) of each image without padding.
            seeds: the samples' sampling seeds; None draws from torch's global generator.

        Returns:
            Per image (R,) int8 labels over all levels: 1, 0, or -1 where not sampled;
            and the (R, 4) ground truth of each anchor (zeros in an image without any).
        """
        all_anchors = torch.cat(list(anchors))
        labels, matched = [], []
        seeds = [None] * len(gt_boxes) if seeds is None else seeds
        found = self.matcher.match_batch(gt_boxes, all_anchors)
        for boxes, size, (matches, image_labels) in zip(gt_boxes, image_sizes, found, strict=True):
            if self.boundary_thresh >= 0:
                image_labels[~self._inside(all_anchors, size)] = -1
            labels.append(image_labels)
            matched.append(boxes[matches] if len(boxes) else torch.zeros_like(all_anchors))
        return self._sample(torch.stack(labels), seeds), matched

    def losses(
        self,
        anchors: Sequence[Tensor],
        logits: Sequence[Tensor],
        deltas: Sequence[Tensor],
        labels: Sequence[Tensor],
        matched_boxes: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Objectness and localisation losses over the sampled anchors of the batch.

        Args:
            anchors: per level (R_l, 4).
            logits: per level (N, R_l).
            deltas: per level (N, R_l, 4).
            labels: per image (R,), R the sum over levels.
            matched_boxes: per image (R, 4).

        Returns:
            Scalars loss_rpn_cls and loss_rpn_loc.
        """
        all_labels = torch.stack(list(labels))  # (N, R)
        flat = all_labels.flatten()
        # Found once each: a GPU is waited for to know their number.
        positive, sampled = (torch.nonzero(m).squeeze(1) for m in (flat == 1, flat >= 0))
        localisation = self._localisation(
            torch.cat(list(deltas), dim=1).flatten(0, 1).index_select(0, positive),
            torch.cat(list(anchors))[positive % all_labels.shape[1]],
            torch.cat(list(matched_boxes))[positive],
        )
        chosen = torch.cat(list(logits), dim=1).flatten().index_select(0, sampled)
        objectness = _objectness(chosen, flat[sampled])
        return self._normalised(objectness, localisation, len(labels))

    def sampled_losses(
        self,
        anchors: Sequence[Tensor],
        maps: Sequence[Tensor],
        labels: Sequence[Tensor],
        matched_boxes: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """The same two losses, with the head computed at the sampled anchors alone.

        Args:
            anchors: per level (R_l, 4).
            maps: per level (N, C, H, W).
            labels: per image (R,), R the sum over levels.
            matched_boxes: per image (R, 4).
        """
        all_labels = torch.stack(list(labels))  # (N, R)
        head = self.rpn_head
        assert isinstance(head.conv, nn.Conv2d)
        found = predict_sampled(
            head.conv, head.objectness_logits, head.anchor_deltas, maps, all_labels >= 0
        )
        chosen = all_labels.flatten()[found.positions]
        positive = chosen == 1
        where = found.positions[positive]
        localisation = self._localisation(
            found.deltas[positive],
            torch.cat(list(anchors))[where % all_labels.shape[1]],
            torch.cat(list(matched_boxes))[where],
        )
        return self._normalised(_objectness(found.logits, chosen), localisation, len(labels))

    def _localisation(self, deltas: Tensor, references: Tensor, targets: Tensor) -> Tensor:
        return box_regression_loss(
            deltas,
            references,
            targets,
            self.transform,
            loss_type=self.box_loss_type,
            smooth_l1_beta=self.smooth_l1_beta,
        )

    def _normalised(
        self, objectness: Tensor, localisation: Tensor, num_images: int
    ) -> dict[str, Tensor]:
        normalizer = self.batch_size_per_image * num_images
        return {
            "loss_rpn_cls": objectness / normalizer * self.loss_weights[0],
            "loss_rpn_loc": localisation / normalizer * self.loss_weights[1],
        }

    @torch.no_grad()
    def propose(
        self,
        anchors: Sequence[Tensor],
        logits: Sequence[Tensor],
        deltas: Sequence[Tensor],
        image_sizes: Sequence[tuple[int, int]],
    ) -> list[Proposals]:
        """Decodes the deltas and keeps the best boxes; no gradient goes through."""
        boxes = [
            # (N, R_l, 4) -> (N * R_l, 4) and back
            self.transform.decode(d.flatten(0, 1), a.repeat(len(d), 1)).view_as(d)
            for a, d in zip(anchors, deltas, strict=True)
        ]
        mode = 0 if self.training else 1
        return select_proposals(
            boxes,
            [scores.detach() for scores in logits],
            image_sizes,
            nms_thresh=self.nms_thresh,
            pre_nms_topk=self.pre_nms_topk[mode],
            post_nms_topk=self.post_nms_topk[mode],
            min_box_size=self.min_box_size,
            training=self.training,
        )

    def _sample(self, labels: Tensor, seeds: Sequence[int | None]) -> list[Tensor]:
        generators = [generator_of(seed, ANCHORS, labels.device) for seed in seeds]
        samples = sample_batch(
            labels, self.batch_size_per_image, self.positive_fraction, 0, generators
        )
        sampled = torch.full_like(labels, -1)
        for image, (positive, negative) in zip(sampled, samples, strict=True):
            image[positive] = 1
            image[negative] = 0
        return list(sampled)

    def _inside(self, anchors: Tensor, size: tuple[int, int]) -> Tensor:
        height, width = size
        limit = anchors.new_tensor([width, height]) + self.boundary_thresh
        starts_inside = (anchors[:, :2] >= -self.boundary_thresh).all(dim=1)
        return starts_inside & (anchors[:, 2:] < limit).all(dim=1)


def _objectness(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of the binary cross-entropy; labels: (S,) of 0 and 1."""
    return F.binary_cross_entropy_with_logits(logits, labels.to(torch.float32), reduction="sum")
