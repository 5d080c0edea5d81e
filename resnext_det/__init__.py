"""ResNeXt backbones for object detection, on Detectron2 or without it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resnext_det.modeling import build_backbone, build_classifier, list_variants
    from resnext_det.torchvision_backbone import resnext_fpn_backbone

__all__ = ["build_backbone", "build_classifier", "list_variants", "resnext_fpn_backbone"]


def __getattr__(name: str) -> object:
    """Imports torch, and torchvision where it is needed, only for who asks: they take seconds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "resnext_fpn_backbone":
        from resnext_det.torchvision_backbone import resnext_fpn_backbone

        return resnext_fpn_backbone
    from resnext_det import modeling

    return getattr(modeling, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
