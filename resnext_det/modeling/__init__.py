"""ResNet and ResNeXt in plain PyTorch: blocks, variants, complexity. Engine-neutral."""

from resnext_det.modeling.build import build_backbone, build_classifier
from resnext_det.modeling.classifier import Classifier
from resnext_det.modeling.forms import convert_form
from resnext_det.modeling.resnet import ResNet
from resnext_det.modeling.variants import Variant, get_variant, list_variants

__all__ = [
    "Classifier",
    "ResNet",
    "Variant",
    "build_backbone",
    "build_classifier",
    "convert_form",
    "get_variant",
    "list_variants",
]
