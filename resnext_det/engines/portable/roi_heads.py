"""The second stage: samples regions, pools, predicts, and learns to. Portable."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from resnext_det.engines.portable.box_head import BoxHead, BoxPredictor, Regions
from resnext_det.engines.portable.matching import MOST_PAIRS, Matcher, pairwise_iou
from resnext_det.engines.portable.pooling import RoIPooler
from resnext_det.engines.portable.postprocess import select_detections
from resnext_det.engines.portable.proposals import Proposals
from resnext_det.engines.portable.sampling import generator_of, sample_batch, sample_labels
from resnext_det.seeding import REGIONS
from resnext_det.structures import Detections


class RoIHeads(nn.Module):
    """Class and box of every region.

    Args:
        in_features: names of the pooled feature maps, finest first.
        box_pooler: cuts region features.
        box_head: widens them.
        box_predictor: predicts scores and deltas.
        matcher: labels proposals by their overlap with ground truth.
        batch_size_per_image: regions sampled per image.
        positive_fraction: largest share of foreground among them.
        append_gt: ground truth joins the proposals before sampling.
        score_thresh: see `select_detections`.
        nms_thresh: see `select_detections`.
        detections_per_image: see `select_detections`.
    """

    def __init__(
        self,
        *,
        in_features: Sequence[str],
        box_pooler: RoIPooler,
        box_head: BoxHead,
        box_predictor: BoxPredictor,
        matcher: Matcher,
        batch_size_per_image: int = 512,
        positive_fraction: float = 0.25,
        append_gt: bool = True,
        score_thresh: float = 0.05,
        nms_thresh: float = 0.5,
        detections_per_image: int = 100,
    ) -> None:
        super().__init__()
        self.in_features = tuple(in_features)
        self.box_pooler = box_pooler
        self.box_head = box_head
        self.box_predictor = box_predictor
        self.matcher = matcher
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction
        self.append_gt = append_gt
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.detections_per_image = detections_per_image

    def training_losses(
        self,
        features: Mapping[str, Tensor],
        proposals: Sequence[Proposals],
        gt_boxes: Sequence[Tensor],
        gt_classes: Sequence[Tensor],
        seeds: Sequence[int | None] | None = None,
    ) -> dict[str, Tensor]:
        """Samples regions and returns loss_cls and loss_box_reg.

        Args:
            features: (N, C, H, W) maps by name.
            proposals: of each image.
            gt_boxes: per image (G, 4) xyxy, pixels of the resized image.
            gt_classes: per image (G,) int64 in 0 … K-1.
            seeds: the samples' sampling seeds; None draws from torch's global generator.
        """
        seeds = [None] * len(proposals) if seeds is None else seeds
        regions = self.sample_batch([p.boxes for p in proposals], gt_boxes, gt_classes, seeds)
        logits, deltas = self.predict(features, [r.boxes for r in regions])
        return self.box_predictor.losses(
            logits,
            deltas,
            torch.cat([r.boxes for r in regions]),
            torch.cat([r.gt_classes for r in regions]),
            torch.cat([r.gt_boxes for r in regions]),
        )

    def detect(
        self, features: Mapping[str, Tensor], proposals: Sequence[Proposals]
    ) -> list[Detections]:
        """Detections of each image, in pixels of the resized image."""
        logits, deltas = self.predict(features, [p.boxes for p in proposals])
        counts = [len(p) for p in proposals]
        results = []
        for image, image_logits, image_deltas in zip(
            proposals, logits.split(counts), deltas.split(counts), strict=True
        ):
            boxes, probabilities = self.box_predictor.predict(
                image_logits, image_deltas, image.boxes
            )
            results.append(self.select(boxes, probabilities, image.image_size))
        return results

    def predict(
        self, features: Mapping[str, Tensor], boxes: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Logits (R, K + 1) and deltas (R, K * 4 or 4) for the boxes of all images."""
        maps = [features[name] for name in self.in_features]
        return self.box_predictor(self.box_head(self.box_pooler(maps, boxes)))

    def select(
        self, boxes: Tensor, probabilities: Tensor, image_size: tuple[int, int]
    ) -> Detections:
        """`select_detections` with this model's thresholds."""
        return select_detections(
            boxes,
            probabilities,
            image_size,
            score_thresh=self.score_thresh,
            nms_thresh=self.nms_thresh,
            topk=self.detections_per_image,
        )

    @torch.no_grad()
    def sample_batch(
        self,
        boxes: Sequence[Tensor],
        gt_boxes: Sequence[Tensor],
        gt_classes: Sequence[Tensor],
        seeds: Sequence[int | None],
    ) -> list[Regions]:
        """Samples in every image of a batch what `sample_regions` samples there.

        Args:
            boxes: per image (P_i, 4) proposals.
            gt_boxes: per image (G_i, 4).
            gt_classes: per image (G_i,).
            seeds: the samples' sampling seeds; None draws from torch's global generator.
        """
        images = list(zip(boxes, gt_boxes, gt_classes, seeds, strict=True))
        candidates = list(boxes)
        if self.append_gt:
            candidates = [torch.cat(pair) for pair in zip(boxes, gt_boxes, strict=True)]
        counts, truths = [len(c) for c in candidates], [len(g) for g in gt_boxes]
        pairs = sum(counts) * sum(truths)
        if not boxes[0].is_cuda or not all(truths) or not all(counts) or pairs > MOST_PAIRS:
            return [self.sample_regions(*image) for image in images]
        return self._sample_together(candidates, gt_boxes, gt_classes, seeds)

    def _sample_together(
        self,
        candidates: Sequence[Tensor],
        gt_boxes: Sequence[Tensor],
        gt_classes: Sequence[Tensor],
        seeds: Sequence[int | None],
    ) -> list[Regions]:
        """`sample_batch` of images that all have objects, as one computation."""
        all_boxes, all_truths = torch.cat(list(candidates)), torch.cat(list(gt_boxes))
        device, counts = all_boxes.device, [len(c) for c in candidates]
        owner = torch.arange(len(candidates))
        owners, truth_owners = (
            owner.repeat_interleave(torch.tensor(numbers)).to(device, non_blocking=True)
            for numbers in (counts, [len(g) for g in gt_boxes])
        )
        iou = pairwise_iou(all_truths, all_boxes)
        # Below every overlap: a box matches ground truth of its own image alone.
        iou = iou.masked_fill(truth_owners[:, None] != owners, -1.0)
        matches, labels = self.matcher(iou)
        background = self.box_predictor.num_classes
        classes = torch.cat(list(gt_classes))[matches].masked_fill(labels == 0, background)
        classes = classes.masked_fill(labels == -1, -1)
        sampled = sample_batch(
            nn.utils.rnn.pad_sequence(
                list(classes.split(counts)), batch_first=True, padding_value=-1
            ),
            self.batch_size_per_image,
            self.positive_fraction,
            background,
            [generator_of(seed, REGIONS, device) for seed in seeds],
        )
        starts = [sum(counts[:image]) for image in range(len(counts))]
        chosen = [torch.cat(pair) + start for pair, start in zip(sampled, starts, strict=True)]
        index, sizes = torch.cat(chosen), [len(c) for c in chosen]
        parts = (all_boxes[index], classes[index], all_truths[matches[index]])
        split = (values.split(sizes) for values in parts)
        return [Regions(*region) for region in zip(*split, strict=True)]

    @torch.no_grad()
    def sample_regions(
        self, boxes: Tensor, gt_boxes: Tensor, gt_classes: Tensor, seed: int | None = None
    ) -> Regions:
        """Labels the proposals of one image and samples those that the losses see.

        Args:
            boxes: (P, 4) proposals.
            gt_boxes: (G, 4).
            gt_classes: (G,).
            seed: the sample's sampling seed; None draws from torch's global generator.

        Returns:
            At most `batch_size_per_image` regions, foreground first.
        """
        candidates = torch.cat([boxes, gt_boxes]) if self.append_gt else boxes
        matches, labels = self.matcher.match(gt_boxes, candidates)
        background = self.box_predictor.num_classes
        if len(gt_boxes):
            classes = gt_classes[matches].masked_fill(labels == 0, background)
            classes = classes.masked_fill(labels == -1, -1)
        else:
            classes = torch.full_like(matches, background)
        sampled = sample_labels(
            classes,
            self.batch_size_per_image,
            self.positive_fraction,
            background,
            generator_of(seed, REGIONS, classes.device),
        )
        index = torch.cat(sampled)
        # Without ground truth all regions are background, which reads no box.
        targets = gt_boxes[matches[index]] if len(gt_boxes) else candidates[index]
        return Regions(candidates[index], classes[index], targets)
