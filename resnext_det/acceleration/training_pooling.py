"""RoIAlign of training on all cores of the CPU. Portable."""

from collections.abc import Sequence

import torch
from torch import Tensor

from resnext_det.acceleration.pooling import FastRoIPooler
from resnext_det.engines.portable.pooling import RoIPooler


class TrainingPooler(FastRoIPooler):
    """Pools fast while training, and as `RoIPooler` does in evaluation, so that it is exact."""

    def forward(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Pools the boxes of all images; see `RoIPooler.forward`.

        Under autocast the maps are of lower precision: they are pooled in float32, in which
        torchvision's operator computes then, too.
        """
        if not self.training:
            return RoIPooler.forward(self, features, boxes)
        dtype = torch.promote_types(features[0].dtype, torch.float32)
        return super().forward([feature.to(dtype) for feature in features], boxes)
