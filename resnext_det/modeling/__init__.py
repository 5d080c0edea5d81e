"""ResNet and ResNeXt in plain PyTorch: blocks, variants, complexity. Engine-neutral."""

from typing import TYPE_CHECKING

from resnext_det.modeling.variants import Variant, get_variant, list_variants

if TYPE_CHECKING:
    from resnext_det.modeling.build import build_backbone, build_classifier
    from resnext_det.modeling.classifier import Classifier
    from resnext_det.modeling.forms import convert_form
    from resnext_det.modeling.resnet import ResNet

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


def __getattr__(name: str) -> object:
    """Imports torch only for who asks for a network: names and designs of them need none."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from resnext_det.modeling import build, classifier, forms, resnet

    return next(
        getattr(module, name)
        for module in (build, classifier, forms, resnet)
        if hasattr(module, name)
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
