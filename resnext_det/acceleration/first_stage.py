"""From images to the best candidates of each level of the pyramid. Portable."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from resnext_det.engines.portable.box_regression import BoxTransform
from resnext_det.engines.portable.rpn import RPN

_KEPT = 8  # sizes of maps whose anchors are kept


@dataclass(frozen=True)
class Candidates:
    """What the first stage finds.

    Attributes:
        features: (N, C, H, W) maps by name, of the weights' precision.
        boxes: per level (N, k, 4) float32, xyxy, pixels of the resized image, not clipped, best
            first.
        logits: per level (N, k) float32.
    """

    features: dict[str, Tensor]
    boxes: tuple[Tensor, ...]
    logits: tuple[Tensor, ...]


class FirstStage(nn.Module):
    """Backbone and RPN; only the anchors that are best of their level are decoded.

    Args:
        backbone: images to maps by name.
        rpn: whose head, anchors and numbers are taken.
    """

    def __init__(self, backbone: nn.Module, rpn: RPN) -> None:
        super().__init__()
        self.backbone = backbone
        self.rpn_head = rpn.rpn_head
        self.in_features = rpn.in_features
        self.topk = rpn.pre_nms_topk[1]
        self.transform = rpn.transform
        self.anchor_generator = rpn.anchor_generator
        self._anchors: dict[tuple[torch.Size, ...], list[Tensor]] = {}

    def forward(self, images: Tensor) -> Candidates:
        """Finds candidates in (N, 3, H, W) normalised images."""
        features = self.backbone(images)
        maps = [features[name] for name in self.in_features]
        levels = zip(self.anchors(maps), *self.rpn_head(maps), strict=True)
        tops = [best_of_level(self.transform, self.topk, *level) for level in levels]
        boxes, logits = tuple(b for b, _ in tops), tuple(scores for _, scores in tops)
        return Candidates(dict(features), boxes, logits)

    def anchors(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Returns the anchors of each map, (H * W * A, 4); those of recent sizes are kept."""
        sizes = tuple(m.shape[-2:] for m in maps)
        if sizes not in self._anchors:
            while len(self._anchors) >= _KEPT:
                del self._anchors[next(iter(self._anchors))]
            self._anchors[sizes] = self.anchor_generator(maps)
        return self._anchors[sizes]


def best_of_level(
    transform: BoxTransform, most: int, anchors: Tensor, logits: Tensor, deltas: Tensor
) -> tuple[Tensor, Tensor]:
    """Decodes the anchors with the highest logits alone.

    Args:
        transform: how deltas relate to anchors.
        most: anchors kept, k; all where there are fewer.
        anchors: (R, 4) xyxy.
        logits: (N, R).
        deltas: (N, R, 4).

    Returns:
        (N, k, 4) float32 boxes, not clipped, best first, and their (N, k) logits, float32.
    """
    best, index = logits.float().topk(min(most, logits.shape[1]), dim=1)
    chosen = deltas.gather(1, index[..., None].expand(-1, -1, 4))
    # (N, k, 4) -> (N * k, 4) and back
    boxes = transform.decode(chosen.flatten(0, 1), anchors[index.flatten()])
    return boxes.unflatten(0, index.shape), best
