"""A trained detector as one module from images to boxes, whose sizes may vary. Portable."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.pooling import assign_levels
from resnext_det.export.resize import ResizeAndPad
from resnext_det.export.suppression import grouped_nms

NOTHING = -1.0e30
"""Scores of places without a box; those of boxes are above half of it."""

Suppression = Callable[[Tensor, Tensor, float, float], Tensor]


class ExportableDetector(nn.Module):
    """What `FasterRCNN.detect` computes, after resizing, of a batch of images of one size.

    Lists by image and by level, whose lengths depend on what is found, become tensors with a
    place for every box there may be, so that the graph is the same for all images. The layers
    and their weights are the model's own.

    Args:
        model: in evaluation mode.
        resize: makes its input.
        suppress: see `grouped_nms`.
    """

    def __init__(
        self, model: FasterRCNN, resize: ResizeAndPad, suppress: Suppression = grouped_nms
    ) -> None:
        super().__init__()
        self.resize = resize
        self.backbone = model.backbone
        self.rpn = model.proposal_generator
        self.heads = model.roi_heads
        self.suppress = suppress

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Finds boxes.

        Args:
            images: (N, H, W, 3) uint8 RGB, N >= 1.

        Returns:
            boxes (R, 4) float32, xyxy, pixels of the images; scores (R,) float32; classes (R,)
            int64; and the place (R,) int64 in the batch of the image of each. Images in order,
            and in each the best score first.
        """
        pixels, new, old = self.resize(images)
        features = self.backbone(pixels)
        limits = new.flip(0).repeat(2)  # x, y, x, y
        proposals, logits = self._propose(features, limits)
        scores, boxes = self._classify(features, proposals, logits)
        return self._select(scores, _clip(boxes, limits), (old / new).flip(0).repeat(2), old)

    def _propose(self, features: Mapping[str, Tensor], limits: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (N, P, 4) proposals, best first, and their (N, P) logits or `NOTHING`."""
        maps = [features[name] for name in self.rpn.in_features]
        tops = [
            self._top_of_level(logits, deltas, self._anchors(level, maps[level]))
            for level, (logits, deltas) in enumerate(zip(*self.rpn.rpn_head(maps), strict=True))
        ]
        logits = torch.stack([scores for scores, _ in tops], dim=1)  # (N, L, k)
        boxes = torch.stack([boxes for _, boxes in tops], dim=1)  # (N, L, k, 4)
        finite = boxes.isfinite().all(dim=-1) & logits.isfinite()
        boxes = _clip(boxes, limits)
        sides = boxes[..., 2:] - boxes[..., :2]
        usable = finite & (sides > self.rpn.min_box_size).all(dim=-1) & (logits > NOTHING / 2)
        logits = torch.where(usable, logits, NOTHING)
        boxes = torch.where(usable[..., None], boxes, 0.0)
        logits = self._suppressed(boxes, logits, self.rpn.nms_thresh, NOTHING / 2)
        best, places = logits.flatten(1).topk(min(self.rpn.post_nms_topk[1], self._num_candidates))
        return _gather(boxes.flatten(1, 2), places), best

    @property
    def _num_candidates(self) -> int:
        return len(self.rpn.in_features) * self.rpn.pre_nms_topk[1]

    def _top_of_level(
        self, logits: Tensor, deltas: Tensor, anchors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the (N, k) best logits of a level, `NOTHING` beyond them, and their boxes."""
        topk = self.rpn.pre_nms_topk[1]
        # A small image has fewer anchors than are wanted; the first one serves as a stand-in.
        scores, places = F.pad(logits, (0, topk), value=NOTHING).topk(topk, dim=1)
        places = torch.where(scores > NOTHING / 2, places, 0)
        # (N, k, 4) -> (N * k, 4) and back
        boxes = self.rpn.transform.decode(
            _gather(deltas, places).flatten(0, 1), anchors[places].flatten(0, 1)
        )
        return scores, boxes.unflatten(0, (-1, topk))

    def _anchors(self, level: int, feature: Tensor) -> Tensor:
        """Lays anchors as `AnchorGenerator` does: (H * W * A, 4), xyxy."""
        generator = self.rpn.anchor_generator
        stride, cell = generator.strides[level], generator.get_buffer(f"cell_anchors_{level}")
        ys, xs = (
            torch.arange(n, device=cell.device).to(torch.float32) * stride
            + generator.offset * stride
            for n in feature.shape[-2:]
        )
        height, width = feature.shape[-2:]
        columns, rows = xs[None, :].expand(height, width), ys[:, None].expand(height, width)
        shifts = torch.stack((columns, rows, columns, rows), dim=-1)[:, :, None]  # (H, W, 1, 4)
        return (shifts + cell).flatten(0, 2)

    def _classify(
        self, features: Mapping[str, Tensor], proposals: Tensor, logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns (N, K, P) probabilities, `NOTHING` where no box is, and (N, K, P, 4) boxes."""
        regions = self._regions(features, proposals, logits)
        predictor, num_classes = self.heads.box_predictor, self.heads.box_predictor.num_classes
        pooled = torch.cat([part for _, part in regions])
        places = torch.cat([places for places, _ in regions])
        flat = proposals.flatten(0, 1)  # (N * P, 4)
        logits, deltas = predictor(self.heads.box_head(pooled))
        boxes, probabilities = predictor.predict(logits, deltas, flat[places])
        finite = (boxes.isfinite().all(dim=1) & probabilities.isfinite().all(dim=1))[:, None]
        found = torch.where(finite, probabilities[:, :-1], NOTHING)
        scores = flat.new_full((flat.shape[0], num_classes), NOTHING)
        dense = flat.new_zeros((flat.shape[0], boxes.shape[1]))
        scores = scores.index_put((places,), found)
        dense = dense.index_put((places,), torch.where(finite, boxes, 0.0))
        num = proposals.shape[1]
        # (N * P, K) -> (N, P, K) -> (N, K, P), and the boxes likewise
        scores = scores.unflatten(0, (-1, num)).transpose(1, 2)
        boxes = dense.unflatten(1, (-1, 4)).unflatten(0, (-1, num)).transpose(1, 2)
        return scores, boxes.expand(-1, num_classes, -1, -1)

    def _regions(
        self, features: Mapping[str, Tensor], proposals: Tensor, logits: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        """Returns per level the places among all N * P proposals, and what is pooled there."""
        pooler, flat = self.heads.box_pooler, proposals.flatten(0, 1)
        there = logits.flatten() > NOTHING / 2
        levels = assign_levels(flat, pooler.min_level, pooler.max_level)
        parts = []
        for level, stride in enumerate(pooler.strides):
            places = torch.nonzero(there & (levels == level)).squeeze(1)
            image = torch.div(places, proposals.shape[1], rounding_mode="floor")
            regions = torch.cat([image[:, None].to(flat.dtype), flat[places]], dim=1)
            part = roi_align(
                features[self.heads.in_features[level]],
                regions,
                pooler.output_size,
                spatial_scale=1.0 / stride,
                sampling_ratio=pooler.sampling_ratio,
                aligned=True,
            )
            parts.append((places, part))
        return parts

    def _select(
        self, scores: Tensor, boxes: Tensor, scale: Tensor, size: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Suppresses within classes, keeps the best, and carries them to the images given.

        Args:
            scores: (N, K, P).
            boxes: (N, K, P, 4), inside the resized image.
            scale: (4,) given by resized size, x, y, x, y.
            size: (2,) height and width of the images given.
        """
        heads, num = self.heads, scores.shape[2]
        scores = self._suppressed(boxes, scores, heads.nms_thresh, heads.score_thresh)
        candidates = scores.shape[1] * num
        best, places = scores.flatten(1).topk(min(heads.detections_per_image, candidates))
        found = _clip(_gather(boxes.flatten(1, 2), places) * scale, size.flip(0).repeat(2))
        classes = torch.div(places, num, rounding_mode="floor")
        image, place = torch.nonzero(
            (best > NOTHING / 2) & (found[..., 2:] > found[..., :2]).all(dim=-1), as_tuple=True
        )
        return found[image, place], best[image, place], classes[image, place], image

    def _suppressed(self, boxes: Tensor, scores: Tensor, iou: float, floor: float) -> Tensor:
        """Suppresses within the groups of the second dimension.

        Args:
            boxes: (N, G, S, 4).
            scores: (N, G, S).
            iou: overlap above which the lower-scored box of a group goes.
            floor: boxes that are not scored above it go.

        Returns:
            (N, G, S) scores, `NOTHING` where a box went.
        """
        flat = scores.flatten(0, 1)
        kept = self.suppress(boxes.flatten(0, 1), flat, iou, floor)
        group, place = kept[:, 0], kept[:, 1]
        left = torch.full_like(flat, NOTHING).index_put((group, place), flat[group, place])
        return left.view_as(scores)


def _clip(boxes: Tensor, limits: Tensor) -> Tensor:
    """Clips boxes, (…, 4) xyxy, to 0 … limits, (4,)."""
    return torch.minimum(boxes.clamp(min=0.0), limits)


def _gather(rows: Tensor, places: Tensor) -> Tensor:
    """Picks (N, k, 4) out of (N, S, 4) by (N, k) places."""
    return rows.gather(1, places[..., None].expand(-1, -1, 4))
