"""The Detectron2 engine: importing it registers the backbones with Detectron2. Detectron2."""

from resnext_det.engines.d2.backbone import (
    ResNeXt,
    apply_variant,
    build_resnext_backbone,
    build_resnext_fpn_backbone,
    build_retinanet_resnext_fpn_backbone,
)
from resnext_det.engines.d2.config import add_config

__all__ = [
    "ResNeXt",
    "add_config",
    "apply_variant",
    "build_resnext_backbone",
    "build_resnext_fpn_backbone",
    "build_retinanet_resnext_fpn_backbone",
]
