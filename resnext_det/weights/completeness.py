"""Which tensors have a place in our networks, and which are lacking. Engine-neutral."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from resnext_det.weights.architecture import Architecture
from resnext_det.weights.heads import is_known_head_key
from resnext_det.weights.naming.detectron2 import backbone_ending

_COUNTER = "num_batches_tracked"  # a counter of BatchNorm's, no weight
_PLAIN = re.compile(r"(?:stem|res\d\.\d+)\.(?:conv[123]|shortcut)\.(?:weight|bias|norm\.\w+)")


@dataclass(frozen=True)
class Completeness:
    """A state dict beside the network that its shapes speak of.

    Attributes:
        unknown: names that have no place, or another shape than it.
        missing: names that the backbone has and the state dict does not.
    """

    unknown: tuple[str, ...]
    missing: tuple[str, ...]


def compare_with_network(
    state: Mapping[str, Tensor], architecture: Architecture | None
) -> Completeness:
    """Finds what is left over and what is lacking.

    Args:
        state: in our names, under any prefix.
        architecture: of the state dict. Where it is None, or more than a plain ResNet or
            ResNeXt, names alone are compared and nothing is missing.
    """
    expected = _expected(architecture)
    endings = {name: backbone_ending(name) for name in state}
    unknown = [
        name
        for name, ending in endings.items()
        if not is_known_head_key(name) and not _fits(state[name], ending, expected)
    ]
    there = set(endings.values())
    missing = [k for k in expected if k not in there and not k.endswith(_COUNTER)]
    return Completeness(tuple(unknown), tuple(missing))


def _expected(architecture: Architecture | None) -> dict[str, torch.Size]:
    if architecture is None:
        return {}
    with torch.device("meta"):
        network = architecture.build(norm=architecture.norm)
    return {} if network is None else {k: v.shape for k, v in network.state_dict().items()}


def _fits(value: Tensor, ending: str | None, expected: Mapping[str, torch.Size]) -> bool:
    if ending is None:
        return False
    if not expected:
        return _PLAIN.fullmatch(ending) is not None
    return ending.endswith(_COUNTER) or expected.get(ending) == value.shape
