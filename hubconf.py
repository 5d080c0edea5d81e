"""Entry points of torch.hub: a detector from its checkpoint, and backbones by name.

    detector = torch.hub.load(folder, "detector", "model_final.pth", source="local")
    backbone = torch.hub.load(folder, "resnext50_32x4d", source="local")

`folder` is a checkout of this repository; a backbone's name is one of `list_variants()`.
"""

from pathlib import Path
from typing import Any

from torch import nn

from resnext_det import Detector, build_backbone, list_variants
from resnext_det.modeling import ResNet
from resnext_det.weights.load import load_weights
from resnext_det.weights.sources import read_weights

dependencies = ["torch", "torchvision", "fvcore", "iopath", "numpy", "PIL", "yaml", "safetensors"]


def detector(checkpoint: str | Path, **options: Any) -> Detector:
    """Returns the detector of a checkpoint; called with images, it gives their detections.

    Args:
        checkpoint: model_final.pth of a run.
        options: those of `Detector.from_checkpoint`: device, engine, score_thresh, ….
    """
    return Detector.from_checkpoint(checkpoint, **options)


def _backbone(name: str, weights: str | Path | None = None, **options: Any) -> ResNet:
    body = build_backbone(name, **options)
    if weights is not None:
        # Under a detector's names, which a classifier's and a detector's file both fill.
        named = nn.ModuleDict({"backbone": nn.ModuleDict({"bottom_up": body})})
        load_weights(named, read_weights(str(weights)), min_share=1.0)
    return body


def _entry_point(name: str) -> Any:
    def build(weights: str | Path | None = None, **options: Any) -> ResNet:
        return _backbone(name, weights, **options)

    build.__name__ = name
    build.__doc__ = f"""Returns the backbone {name}: (N, 3, H, W) -> {{"res2": …, …, "res5": …}}.

    Args:
        weights: a file, an address or a name such as torchvision://…; None draws them.
        options: those of `resnext_det.build_backbone`: out_features, norm, freeze_at, ….
    """
    return build


globals().update({name: _entry_point(name) for name in list_variants()})
