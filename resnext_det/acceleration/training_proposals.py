"""Proposals of all images of a training batch at once. Portable.

As `select_proposals` chooses image by image: a GPU is waited for as often for eight images as for
one, and only the best anchors are decoded.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from resnext_det.acceleration import fixed_shapes
from resnext_det.engines.portable.proposals import NOT_FINITE, Proposals
from resnext_det.engines.portable.rpn import RPN


class BatchedRPN(RPN):
    """An RPN that chooses the proposals of all images together while training."""

    @torch.no_grad()
    def propose(
        self,
        anchors: Sequence[Tensor],
        logits: Sequence[Tensor],
        deltas: Sequence[Tensor],
        image_sizes: Sequence[tuple[int, int]],
    ) -> list[Proposals]:
        """Decodes the best deltas and keeps the best boxes; see `RPN.propose`.

        Raises:
            FloatingPointError: a box or logit is not finite while training.
        """
        if not self.training:
            return super().propose(anchors, logits, deltas, image_sizes)
        # Not waited for, which a tensor that is made on a GPU would be.
        sizes = torch.tensor(image_sizes, dtype=torch.float32)
        sizes = sizes.to(anchors[0].device, non_blocking=True)
        found = fixed_shapes.propose(self, anchors, logits, deltas, sizes)
        # One wait for all images.
        *counts, finite = torch.cat([found.usable.sum(dim=1), found.finite[None]]).tolist()
        if not finite:
            raise FloatingPointError(NOT_FINITE)
        images = zip(found.boxes, found.logits, counts, image_sizes, strict=True)
        return [Proposals(boxes[:n], best[:n], size) for boxes, best, n, size in images]
