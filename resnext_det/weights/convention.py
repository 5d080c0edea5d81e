"""How the images were normalised that weights were trained on. Engine-neutral."""

import logging
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from fvcore.common.config import CfgNode

from resnext_det.config import get_value, with_values
from resnext_det.errors import UserError

if TYPE_CHECKING:
    from resnext_det.weights.sources import Weights

_FORMAT, _MEAN, _STD = "INPUT.FORMAT", "MODEL.PIXEL_MEAN", "MODEL.PIXEL_STD"
_STRIDE = "MODEL.RESNETS.STRIDE_IN_1X1"
_TOLERANCE = 1e-3  # 0-255 units; rounding of published means


@dataclass(frozen=True)
class Convention:
    """What weights expect of their input, and where their stages stride.

    Attributes:
        format: order of the channels, "RGB" or "BGR".
        mean: of each channel in that order, 0-255 units.
        std: likewise.
        stride_in_1x1: stride 2 sits in the first 1x1 convolution, not in the 3x3.
    """

    format: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stride_in_1x1: bool = False

    def as_keys(self) -> dict[str, Any]:
        """Returns config key -> value."""
        return {
            _FORMAT: self.format,
            _MEAN: list(self.mean),
            _STD: list(self.std),
            _STRIDE: self.stride_in_1x1,
        }


def torchvision_convention() -> Convention:
    """Returns the convention of torchvision's and most of timm's weights, and of our own."""
    return Convention("RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def convention_from_config(text: str) -> Convention | None:
    """Reads the convention from the config in a checkpoint; None where it holds none."""
    try:
        tree = yaml.safe_load(text)
        model = tree["MODEL"]
        return Convention(
            tree["INPUT"]["FORMAT"],
            tuple(float(value) for value in model["PIXEL_MEAN"]),
            tuple(float(value) for value in model["PIXEL_STD"]),
            bool(model["RESNETS"]["STRIDE_IN_1X1"]),
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        return None


def apply_convention(
    cfg: CfgNode, user_given: Collection[str], weights: "Weights | None"
) -> CfgNode:
    """Returns the configuration with pixel order, mean, std and stride as the weights want them.

    Args:
        cfg: the configuration; it is not changed.
        user_given: as for `check_convention`.
        weights: None leaves everything as it is.

    Raises:
        UserError: a key that the user gave contradicts the weights.
    """
    changes = check_convention(cfg, user_given, weights) if weights else {}
    for key, value in changes.items():
        logging.getLogger(__name__).info("%s is set to %s, as the weights want", key, value)
    return with_values(cfg, changes)


def check_convention(
    cfg: CfgNode, user_given: Collection[str], weights: "Weights"
) -> dict[str, Any]:
    """Compares the config with what the weights were trained on.

    Args:
        cfg: the configuration as loaded.
        user_given: dotted keys that the user gave, in the named file or on the command line.
        weights: with their convention, if it is known.

    Returns:
        Dotted key -> the weights' value, for each key whose value has to change.

    Raises:
        UserError: a key that the user gave contradicts the weights.
    """
    if weights.convention is None:
        logging.getLogger(__name__).warning(
            "%s does not say how its images were normalised: the config's values are kept",
            weights.source,
        )
        return {}
    changes = {}
    for key, theirs in weights.convention.as_keys().items():
        ours = get_value(cfg, key)
        if _same(ours, theirs):
            continue
        if key in user_given:
            raise UserError(
                f"{key} is {_plain(ours)}, but {weights.source} was trained with {theirs}: "
                f"leave {key} out or set it to {theirs}"
            )
        changes[key] = theirs
    return changes


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, Sequence) and not isinstance(theirs, str):
        return len(ours) == len(theirs) and all(
            math.isclose(a, b, abs_tol=_TOLERANCE) for a, b in zip(ours, theirs, strict=True)
        )
    return ours == theirs
