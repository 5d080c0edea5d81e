"""Other people's detectors and backbones beside ours, where they are installed. Engine-neutral."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from resnext_det.benchmarking.drawn_weights import normalised
from resnext_det.benchmarking.work import Work
from resnext_det.config import with_values
from resnext_det.data.opened_image import Pixels
from resnext_det.engines.base import detectron2_is_installed, resolve_engine
from resnext_det.errors import UserError
from resnext_det.training.device import resolve_device

DETECTRON2 = "Detectron2"
_THEIR_BUILDERS = {
    "build_resnext_backbone": "build_resnet_backbone",
    "build_resnext_fpn_backbone": "build_resnet_fpn_backbone",
}
"""Ours -> Detectron2's own, which takes the same weights."""
_TORCHVISION = {
    (50, 1, 64): "resnet50",
    (50, 32, 4): "resnext50_32x4d",
    (101, 1, 64): "resnet101",
    (101, 32, 8): "resnext101_32x8d",
}
_TIMM = _TORCHVISION | {(101, 32, 4): "resnext101_32x4d"}
"""(depth, groups, width per group) -> the name that the library has for it."""


@dataclass(frozen=True)
class Peer:
    """A model that takes tensors.

    Attributes:
        prepare: from images, (H, W, 3) uint8 RGB, to what the model takes, on the CPU; not timed.
        compute: moves that to the device and runs the model.
    """

    prepare: Callable[[Sequence[Pixels]], Any]
    compute: Callable[[Any], Any]


class Autocast(nn.Module):
    """Computes a model under autocast, as its users would.

    Args:
        model: any.
        dtype: bfloat16 or float16.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = model, dtype

    def forward(self, batch: Any) -> Any:
        """Returns what the model returns."""
        device = next(self.model.parameters()).device.type
        with torch.autocast(device, self.dtype):
            return self.model(batch)


def their_config(cfg: CfgNode) -> CfgNode:
    """Returns a config whose backbone is Detectron2's own.

    Raises:
        UserError: Detectron2 is not installed, or has none of the kind.
    """
    if not detectron2_is_installed():
        raise UserError("Detectron2 is not installed")
    builder = _THEIR_BUILDERS.get(cfg.MODEL.BACKBONE.NAME)
    if builder is None:
        raise UserError("Detectron2 has no such backbone")
    return with_values(cfg, {"MODEL.BACKBONE.NAME": builder})


def detectron2_model(work: Work, dtype: torch.dtype | None = None) -> nn.Module:
    """Returns Detectron2's whole detector, its own ResNet in it, with the same weights.

    Args:
        work: what is timed.
        dtype: of autocast; None computes as Detectron2 does by default.

    Raises:
        UserError: it is not installed, or has no such backbone.
    """
    model = work.build_model(resolve_engine("d2"), their_config(work.cfg))
    return model if dtype is None else Autocast(model, dtype)


def torchvision_detector(work: Work) -> Peer:
    """Returns torchvision's Faster R-CNN with FPN on the same network, with its own random weights.

    Under them it finds next to nothing, which spares it some of the work on boxes.

    Raises:
        UserError: it has no such network.
    """
    network = _TORCHVISION.get(_kind(work.cfg))
    if network is None or work.cfg.MODEL.META_ARCHITECTURE != "GeneralizedRCNN":
        raise UserError("torchvision has no such network")
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    device = resolve_device(work.cfg)
    backbone = resnet_fpn_backbone(backbone_name=network, weights=None)
    sizes = {"min_size": work.cfg.INPUT.MIN_SIZE_TEST, "max_size": work.cfg.INPUT.MAX_SIZE_TEST}
    classes = work.cfg.MODEL.ROI_HEADS.NUM_CLASSES + 1
    model = FasterRCNN(backbone, classes, **sizes).to(device).eval()

    def prepare(images: Sequence[Pixels]) -> list[Tensor]:
        return [torch.tensor(np.ascontiguousarray(i)).permute(2, 0, 1) / 255 for i in images]

    @torch.no_grad()
    def compute(tensors: list[Tensor]) -> object:
        return model([tensor.to(device) for tensor in tensors])

    return Peer(prepare, compute)


def timm_backbone(work: Work) -> Peer:
    """Returns timm's network of the same kind, which gives four maps, with random weights.

    Raises:
        UserError: timm is not installed, or has no such network.
    """
    if find_spec("timm") is None:
        raise UserError("timm is not installed")
    name = _TIMM.get(_kind(work.cfg))
    if name is None:
        raise UserError("timm has no such network")
    import timm

    model = timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4))
    return maps_of(model.to(resolve_device(work.cfg)).eval(), work)


def maps_of(backbone: nn.Module, work: Work) -> Peer:
    """Returns what computes a backbone's maps, in the precision of its weights."""
    dtypes = [p.dtype for p in backbone.parameters() if p.is_floating_point()]
    dtype, device = (dtypes or [torch.float32])[0], resolve_device(work.cfg)

    def prepare(images: Sequence[Pixels]) -> Tensor:
        return torch.cat([normalised(work.cfg, image) for image in images])

    @torch.no_grad()
    def compute(images: Tensor) -> Any:
        return backbone(images.to(device, dtype))

    return Peer(prepare, compute)


def _kind(cfg: CfgNode) -> tuple[int, int, int]:
    resnets = cfg.MODEL.RESNETS
    return resnets.DEPTH, resnets.NUM_GROUPS, resnets.WIDTH_PER_GROUP
