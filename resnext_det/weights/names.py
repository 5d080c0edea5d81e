"""torchvision's and timm's ResNet names in ours, one table for both. Engine-neutral."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

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
_BACKBONE = re.compile(r"(?:^|\.)(?:stem|res\d)\.")


def is_foreign(keys: Iterable[str]) -> bool:
    """Tells torchvision's and timm's state dicts by the name of their first 3x3."""
    return "layer1.0.conv2.weight" in set(keys)


def is_ours(keys: Iterable[str]) -> bool:
    """Tells state dicts in Detectron2's names, of a classifier, a backbone or a detector."""
    return any(is_backbone_key(key) for key in keys)


def is_backbone_key(key: str) -> bool:
    """Tells whether a tensor of ours belongs to the stem or to a stage, under any prefix."""
    return _BACKBONE.search(key) is not None


def rename_foreign(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gives torchvision's or timm's tensors our names; the tensors are not copied.

    Raises:
        KeyError: names that a plain ResNet or ResNeXt does not have.
    """
    renamed = {rename_key(key): tensor for key, tensor in state.items()}
    unknown = [key for key in state if rename_key(key) is None]
    if unknown:
        raise KeyError(f"{', '.join(unknown[:3])}{' …' if len(unknown) > 3 else ''}")
    return {key: tensor for key, tensor in renamed.items() if key is not None}


def rename_key(key: str) -> str | None:
    """Returns our name for one of torchvision's or timm's, or None if it is neither's."""
    for pattern, ours in _TABLE:
        match = re.fullmatch(pattern, key)
        if match:
            stage = int(match[1]) + 1 if "{stage}" in ours else 0
            return match.expand(ours.replace("{stage}", str(stage)))
    return None
