"""Which settings are tried on a machine. Engine-neutral.

All of layout, folding and what else changes every layer are tried with one another; what comes on
top of them is added to the fastest of each precision, one upon another.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import torch

from resnext_det.acceleration.ability import check_acceleration
from resnext_det.acceleration.machine import Mode
from resnext_det.acceleration.setting import PRECISIONS, SWITCHES, Acceleration
from resnext_det.errors import UserError

_TOGETHER: dict[Mode, Sequence[str]] = {
    "inference": ("channels_last", "fold_norms", "fast_pooling", "cuda_graphs"),
    "training": ("channels_last", "fold_norms"),
}
_ON_TOP: dict[Mode, Sequence[str]] = {
    "inference": ("winograd", "keep_memory", "compile"),
    "training": ("fast_pooling", "fast_suppression", "sampled_anchors", "keep_memory", "compile"),
}

_OF_GPUS = ("fast_suppression",)
"""What a CPU can do, too, and gains nothing by."""


def grid(mode: Mode, device: torch.device) -> list[Acceleration]:
    """Returns the settings to begin with, the exact one first; only those that can be had here."""
    switches = [name for name in _TOGETHER[mode] if name in SWITCHES]
    found = []
    for precision, *values in product(PRECISIONS, *([False, True] for _ in switches)):
        given = dict(zip(switches, values, strict=True))
        setting = replace(Acceleration(), precision=precision, **given)
        if why_not(setting, device, mode) is None:
            found.append(setting)
    return found


def additions(mode: Mode, device: torch.device) -> list[str]:
    """Returns the switches to add to the fastest of a precision, in the order of trying."""
    left_out = () if device.type == "cuda" else _OF_GPUS
    return [name for name in _ON_TOP[mode] if name in SWITCHES and name not in left_out]


def why_not(setting: Acceleration, device: torch.device, mode: Mode) -> str | None:
    """Says why a setting cannot be had on a device for its use; None where it can."""
    try:
        check_acceleration(setting, device, mode)
    except UserError as error:
        return str(error)
    return None
