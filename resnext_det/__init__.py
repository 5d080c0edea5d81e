"""ResNeXt backbones for object detection, on Detectron2 or without it."""

from resnext_det.modeling import build_backbone, build_classifier, list_variants

__all__ = ["build_backbone", "build_classifier", "list_variants"]
