"""pycls' names and checkpoints. Engine-neutral.

Source: pycls/models/resnet.py, pycls/core/checkpoint.py, pycls/datasets/{imagenet,cifar10}.py.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from resnext_det.weights.config_texts import read_config
from resnext_det.weights.content import FileContent
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.naming.base import Naming, Renamed, UnknownNames
from resnext_det.weights.naming.name_table import NameTable, rename_all
from resnext_det.weights.naming.norms import norm_of
from resnext_det.weights.readers.averaged import note_on_averaged
from resnext_det.weights.side_car import SideCar

TABLE = NameTable(
    rows=(
        ("stem.conv.weight", "stem.conv1.weight"),
        ("stem.bn.{leaf}", "stem.conv1.norm.{leaf}"),
        ("s{stage}.b{block}.f.{conv}.weight", "res{stage}.{block}.conv{conv}.weight"),
        ("s{stage}.b{block}.f.{conv}_bn.{leaf}", "res{stage}.{block}.conv{conv}.norm.{leaf}"),
        ("s{stage}.b{block}.proj.weight", "res{stage}.{block}.shortcut.weight"),
        ("s{stage}.b{block}.bn.{leaf}", "res{stage}.{block}.shortcut.norm.{leaf}"),
        ("head.fc.{term}", "linear.{term}"),
    ),
    stage=1,
    block=-1,
    convs={"a": "1", "b": "2", "c": "3"},
)

_CIFAR = ("RGB", (125.3, 123.0, 113.9), (63.0, 62.1, 66.7))


def pycls_convention(*, stride_in_1x1: bool = False) -> Convention:
    """Returns the convention of its ImageNet weights: BGR, torchvision's mean and std reversed."""
    rgb = torchvision_convention()
    return Convention("BGR", rgb.mean[::-1], rgb.std[::-1], stride_in_1x1)


def _to_ours(content: FileContent) -> Renamed:
    state = rename_all(content.tensors, TABLE.ours, _meaning)
    stem = state.get("stem.conv1.weight")
    is_imagenet = stem is None or stem.shape[-1] == 7
    if not is_imagenet and "res2.0.conv3.weight" in state:
        raise UnknownNames("a 3x3 stem before bottleneck blocks, which makes it a RegNet")
    config = _config(content.extras)
    convention, eps = _convention(config, is_imagenet), _epsilon(config)
    side_car = SideCar(naming="pycls", convention=convention, norm=norm_of(state), norm_eps=eps)
    return Renamed(state, side_car, note_on_averaged(content.extras))


def _from_ours(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return rename_all(state, TABLE.theirs)


def _config(extras: Mapping[str, Any]) -> Mapping[str, Any]:
    tree = read_config(extras.get("cfg"))
    return tree if isinstance(tree, Mapping) else {}


def _convention(config: Mapping[str, Any], is_imagenet: bool) -> Convention:
    if not is_imagenet:
        return Convention(*_CIFAR)
    # An AnyNet, as the X-50-32x4d of "dds_baselines", strides in the 3x3 whatever that key says.
    is_resnet = _get(config, "MODEL", "TYPE") == "resnet"
    in_1x1 = is_resnet and _get(config, "RESNET", "STRIDE_1X1") is True
    return pycls_convention(stride_in_1x1=in_1x1)


def _epsilon(config: Mapping[str, Any]) -> float | None:
    value = _get(config, "BN", "EPS")
    return value if isinstance(value, float) and 0.0 <= value < 1.0 else None


def _get(config: Mapping[str, Any], section: str, key: str) -> Any:
    part = config.get(section)
    return part.get(key) if isinstance(part, Mapping) else None


def _meaning(key: str) -> str:
    return "attention over channels" if ".f.se." in key else ""


PYCLS = Naming(
    name="pycls",
    recognises=lambda content: "s1.b1.f.a.weight" in content.tensors,
    to_ours=_to_ours,
    from_ours=_from_ours,
)
