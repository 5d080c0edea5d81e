"""torchvision's and timm's ResNet names in ours, one table for both. Engine-neutral."""

import re
from collections.abc import Iterable

from resnext_det.weights.content import FileContent
from resnext_det.weights.convention import torchvision_convention
from resnext_det.weights.naming.base import Naming, Renamed, UnknownNames
from resnext_det.weights.side_car import SideCar

# (pattern of the foreign name, our name). Stage numbers are one higher here: the stem
# is what others call layer 0. Source: torchvision/models/resnet.py; timm's is the same.
_TABLE = (
    (r"conv1\.(\w+)", r"stem.conv1.\1"),
    (r"bn1\.(\w+)", r"stem.conv1.norm.\1"),
    (r"layer(\d)\.(\d+)\.conv(\d)\.(\w+)", r"res{stage}.\2.conv\3.\4"),
    (r"layer(\d)\.(\d+)\.bn(\d)\.(\w+)", r"res{stage}.\2.conv\3.norm.\4"),
    (r"layer(\d)\.(\d+)\.downsample\.0\.(\w+)", r"res{stage}.\2.shortcut.\3"),
    (r"layer(\d)\.(\d+)\.downsample\.1\.(\w+)", r"res{stage}.\2.shortcut.norm.\3"),
    (r"fc\.(\w+)", r"linear.\1"),
)


def is_torchvisions(keys: Iterable[str]) -> bool:
    """Tells torchvision's and timm's state dicts by the name of their first 3x3."""
    return "layer1.0.conv2.weight" in set(keys)


def rename_key(key: str) -> str | None:
    """Returns our name for one of torchvision's or timm's, or None if it is neither's."""
    for pattern, ours in _TABLE:
        match = re.fullmatch(pattern, key)
        if match:
            stage = int(match[1]) + 1 if "{stage}" in ours else 0
            return match.expand(ours.replace("{stage}", str(stage)))
    return None


def _to_ours(content: FileContent) -> Renamed:
    renamed = {rename_key(key): tensor for key, tensor in content.tensors.items()}
    if None in renamed:
        unknown = [key for key in content.tensors if rename_key(key) is None]
        raise UnknownNames(f"{', '.join(unknown[:3])}{' …' if len(unknown) > 3 else ''}")
    state = {key: tensor for key, tensor in renamed.items() if key is not None}
    return Renamed(state, SideCar(naming="torchvision", convention=torchvision_convention()))


TORCHVISION = Naming(
    name="torchvision",
    recognises=lambda content: is_torchvisions(content.tensors),
    to_ours=_to_ours,
)
