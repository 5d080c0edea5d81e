"""torchvision's and timm's ResNet names in ours, one table for both. Engine-neutral.

Their detectors and checkpoints of their training scripts are taken too: of a detector the
backbone, of a checkpoint the averaged weights where it has any.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from resnext_det.weights.content import FileContent
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.naming.base import Naming, Renamed
from resnext_det.weights.naming.name_table import NameTable, rename_all
from resnext_det.weights.naming.norms import norm_of
from resnext_det.weights.readers.averaged import note_on_averaged
from resnext_det.weights.side_car import SideCar

# Stage numbers are one higher here: the stem is what others call layer 0.
# Source: torchvision/models/resnet.py; timm's is the same.
TABLE = NameTable(
    rows=(
        ("conv1.weight", "stem.conv1.weight"),
        ("bn1.{leaf}", "stem.conv1.norm.{leaf}"),
        ("layer{stage}.{block}.conv{conv}.weight", "res{stage}.{block}.conv{conv}.weight"),
        ("layer{stage}.{block}.bn{conv}.{leaf}", "res{stage}.{block}.conv{conv}.norm.{leaf}"),
        ("layer{stage}.{block}.downsample.0.weight", "res{stage}.{block}.shortcut.weight"),
        ("layer{stage}.{block}.downsample.1.{leaf}", "res{stage}.{block}.shortcut.norm.{leaf}"),
        ("fc.{term}", "linear.{term}"),
    ),
    stage=1,
)

# Parts that a plain ResNet has not, by what their names look like.
_EXTRAS = (
    (r"(conv1\.\d+|bn1\.\d+|stem\.).*", "a deep stem"),
    (r".*\.(se|eca|se_module|attn|se_layer)\..*", "attention over channels"),
    (r".*\.downsample\.2\..*", "pooling in its shortcuts, as ResNet-D has"),
    (r".*\.conv\d\.(conv_)?offset\..*", "deformable convolutions"),
    (r"(.*\.)?conv\d\.bias", "biases in its convolutions"),
    (r".*\.(aa|drop_block|blur)\..*", "anti-aliasing"),
)
_DETECTOR = "backbone.body."  # torchvision/models/detection/backbone_utils.py
_IMAGENET_STEM = 7  # side of its kernel; CIFAR's 3x3 goes with images of another mean


def is_torchvisions(keys: Iterable[str]) -> bool:
    """Tells torchvision's and timm's state dicts by the name of their first block's convolution."""
    return not {"layer1.0.conv2.weight", f"{_DETECTOR}layer1.0.conv2.weight"}.isdisjoint(keys)


def rename_key(key: str) -> str | None:
    """Returns our name for one of torchvision's or timm's, or None if it is neither's."""
    return TABLE.ours(key)


def meaning_of_extra(key: str) -> str:
    """Says what a name that no plain ResNet has stands for; "" where that is not known."""
    return next((words for pattern, words in _EXTRAS if re.fullmatch(pattern, key)), "")


def convention_of_stem(state: Mapping[str, Tensor], convention: Convention) -> Convention | None:
    """Returns a convention for ImageNet's images, None for a network with CIFAR's stem."""
    stem = state.get("stem.conv1.weight")
    return convention if stem is None or stem.shape[-1] == _IMAGENET_STEM else None


def _to_ours(content: FileContent) -> Renamed:
    tensors, notes = content.tensors, note_on_averaged(content.extras)
    backbone = {key: t for key, t in tensors.items() if key.startswith(_DETECTOR)}
    if backbone:
        left = len(tensors) - len(backbone)
        notes = (*notes, f"torchvision's detector: its backbone alone, {left} tensors left out")
        tensors = {key.removeprefix(_DETECTOR): t for key, t in backbone.items()}
    state = rename_all(tensors, TABLE.ours, meaning_of_extra)
    convention = convention_of_stem(state, torchvision_convention())
    return Renamed(state, SideCar("", "torchvision", "", convention, norm_of(state)), notes)


def _from_ours(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return rename_all(state, TABLE.theirs)


TORCHVISION = Naming(
    name="torchvision",
    recognises=lambda content: is_torchvisions(content.tensors),
    to_ours=_to_ours,
    from_ours=_from_ours,
)
