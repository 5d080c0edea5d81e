"""How the images were normalised that weights were trained on. Engine-neutral."""

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from fvcore.common.config import CfgNode

from resnext_det.config import get_value
from resnext_det.errors import UserError
from resnext_det.weights.config_texts import read_config, three_numbers

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

    def __str__(self) -> str:
        mean, std = (" ".join(f"{v:g}" for v in values) for values in (self.mean, self.std))
        stride = "1x1" if self.stride_in_1x1 else "3x3"
        return f"{self.format} 0-255, mean {mean}, std {std}, stride in the {stride}"

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
        tree = read_config(text)
        model = tree["MODEL"]
        lazy = read_config(tree.get("LAZY_CONFIG") or "{}")
        stride = stride_of_lazy_model(lazy.get("model"))
        mean, std = three_numbers(model["PIXEL_MEAN"]), three_numbers(model["PIXEL_STD"])
        pixels = tree["INPUT"]["FORMAT"]
        in_1x1 = bool(model["RESNETS"]["STRIDE_IN_1X1"] if stride is None else stride)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    if not isinstance(pixels, str) or pixels not in ("RGB", "BGR") or min(std) <= 0:
        return None
    return Convention(pixels, mean, std, in_1x1)


def stride_of_lazy_model(model: Any) -> bool | None:
    """Tells where a model strides that is described in Detectron2's Python syntax.

    Args:
        model: its tree, of which `backbone` counts, or that one's `bottom_up`; for Detectron2's
            own ResNet its `stages`.

    Returns:
        Whether the stride is in the first 1x1; None where the backbone is no ResNet.
    """
    node = model
    for part in ("backbone", "bottom_up", "stages"):
        node = node[part] if _has(node, part) else node
    if _has(node, "stride_in_1x1"):
        return bool(node["stride_in_1x1"])
    # Both ResNets have it in the 3x3 where nothing is said.
    return False if _has(node, "depth") or _has(node, "variant") else None


def _has(node: Any, part: str) -> bool:
    return isinstance(node, Mapping) and node.get(part) is not None


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
            refuse_given(key, ours, theirs, weights.source)
        changes[key] = theirs
    return changes


def refuse_given(key: str, ours: Any, theirs: Any, source: str) -> NoReturn:
    """Says that a key that the user gave contradicts the weights.

    Raises:
        UserError: always; it names both values.
    """
    raise UserError(
        f"{key} is {_plain(ours)}, but {source} was trained with {theirs}: leave {key} out or set "
        f"it to {theirs}"
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, Sequence) and not isinstance(theirs, str):
        return len(ours) == len(theirs) and all(
            math.isclose(a, b, abs_tol=_TOLERANCE) for a, b in zip(ours, theirs, strict=True)
        )
    return ours == theirs
