"""The image classifier: the backbone with its linear layer. Engine-neutral."""

from typing import Any

from torch import Tensor

from resnext_det.errors import UserError
from resnext_det.modeling.initial import INITS, fill_as_torch7
from resnext_det.modeling.resnet import ResNetBody, check_num_classes


class Classifier(ResNetBody):
    """Images to logits; the state dict has no prefix: `stem.*`, `res2.*` …, `linear.*`.

    So its weights are a backbone's weights by name, and load into detectors as they are.
    """

    def __init__(
        self, *, num_classes: int, norm: str = "BN", init: str = "detectron2", **kwargs: Any
    ) -> None:
        """Builds the network.

        Args:
            num_classes: number of logits.
            norm: "BN", "SyncBN", "GN", "FrozenBN" or "".
            init: how convolutions and the linear layer start: "detectron2", or "torch7" as in
                the authors' code.
            kwargs: those of `ResNetBody`, without out_features.

        Raises:
            UserError: if the arguments contradict each other or name nothing known.
        """
        check_num_classes(num_classes)  # None would build no linear layer
        if init not in INITS:
            raise UserError(f"unknown init {init!r}: choose one of {', '.join(INITS)}")
        super().__init__(num_classes=num_classes, norm=norm, out_features=("linear",), **kwargs)
        if init == "torch7":
            fill_as_torch7(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 3, H, W) normalised pixels to logits (N, num_classes)."""
        return self.features(x)["linear"]
