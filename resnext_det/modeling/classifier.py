"""The image classifier: the backbone with its linear layer. Engine-neutral."""

from typing import Any

from torch import Tensor

from resnext_det.modeling.resnet import ResNetBody, check_num_classes


class Classifier(ResNetBody):
    """Images to logits; the state dict has no prefix: `stem.*`, `res2.*` …, `linear.*`.

    So its weights are a backbone's weights by name, and load into detectors as they are.
    """

    def __init__(self, *, num_classes: int, norm: str = "BN", **kwargs: Any) -> None:
        """Builds the network; kwargs: those of `ResNetBody`, without out_features."""
        check_num_classes(num_classes)  # None would build no linear layer
        super().__init__(num_classes=num_classes, norm=norm, out_features=("linear",), **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 3, H, W) normalised pixels to logits (N, num_classes)."""
        return self.features(x)["linear"]
