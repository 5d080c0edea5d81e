"""Augmentation policies on the finished uint8 crop, in the worker. Engine-neutral."""

from typing import Any

from torch import Tensor
from torchvision.transforms import v2


def build_auto_augment(cfg: Any) -> v2.Transform | None:
    """Builds what `INPUT.CLASSIFICATION.AUTO_AUGMENT` names; None where it names nothing.

    TrivialAugment (Müller and Hutter, ICCV 2021) is torchvision's own, with its defaults.
    """
    if cfg.INPUT.CLASSIFICATION.AUTO_AUGMENT == "trivial_augment_wide":
        return v2.TrivialAugmentWide()
    return None


def augment(policy: v2.Transform, pixels: Tensor) -> Tensor:
    """Applies a policy, which draws from torch's generator.

    Args:
        policy: of torchvision.
        pixels: (V, S, S, 3) uint8 RGB.

    Returns:
        (V, S, S, 3) uint8 RGB.
    """
    return policy(pixels.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
