"""Backbones and classifiers by variant name. Engine-neutral."""

from collections.abc import Sequence
from typing import Any

from resnext_det.modeling.classifier import Classifier
from resnext_det.modeling.resnet import ResNet
from resnext_det.modeling.variants import get_variant


def build_backbone(
    variant: str,
    *,
    out_features: Sequence[str] | None = None,
    norm: str = "FrozenBN",
    freeze_at: int = 0,
    **kwargs: Any,
) -> ResNet:
    """Builds the feature extractor of a named variant, with random weights.

    Args:
        variant: a name of `list_variants()`.
        out_features: stages to return; None for all: res2 … res5 (res4 on CIFAR).
        norm: "FrozenBN", "BN", "SyncBN" or "GN".
        freeze_at: stages to freeze, from the stem on.
        kwargs: further arguments of `ResNet`.

    Returns:
        A module from (N, 3, H, W) images to {"res2": (N, 256, H/4, W/4), …}.

    Raises:
        UserError: if the variant is unknown or the arguments contradict each other.
    """
    arguments = _architecture(variant) | kwargs
    return ResNet(out_features=out_features, norm=norm, freeze_at=freeze_at, **arguments)


def build_classifier(
    variant: str, num_classes: int = 1000, *, norm: str = "BN", **kwargs: Any
) -> Classifier:
    """Builds the image classifier of a named variant, with random weights.

    Args:
        variant: a name of `list_variants()`.
        num_classes: number of logits.
        norm: "FrozenBN", "BN", "SyncBN" or "GN".
        kwargs: further arguments of `Classifier`.

    Returns:
        A module from (N, 3, H, W) images to (N, num_classes) logits.

    Raises:
        UserError: if the variant is unknown or the arguments contradict each other.
    """
    return Classifier(num_classes=num_classes, norm=norm, **(_architecture(variant) | kwargs))


def _architecture(name: str) -> dict[str, Any]:
    variant = get_variant(name)
    return {
        "depth": variant.depth,
        "num_groups": variant.num_groups,
        "width_per_group": variant.width_per_group,
        "stem": variant.stem,
    }
