"""Backbones and classifiers by variant name. Engine-neutral."""

from collections.abc import Mapping, Sequence
from typing import Any

from resnext_det.errors import UserError
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
    arguments = variant_arguments(variant, kwargs)
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
    arguments = variant_arguments(variant, kwargs)
    return Classifier(num_classes=num_classes, norm=norm, **arguments)


def variant_arguments(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of `ResNet` for a variant, and those given beside it.

    Raises:
        UserError: if the variant is unknown, or one of its own numbers was given otherwise.
    """
    variant = get_variant(name)
    own = {
        "depth": variant.depth,
        "num_groups": variant.num_groups,
        "width_per_group": variant.width_per_group,
        "stem": variant.stem,
    }
    for key, value in own.items():
        if given.get(key, value) != value:
            raise UserError(
                f"{name} has {key} {value!r}, but {key} is set to {given[key]!r}; "
                "remove one of the two"
            )
    return own | dict(given)
