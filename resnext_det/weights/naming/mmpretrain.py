"""mmpretrain's names, which mmcls had before it, and mmdetection's backbones. Engine-neutral.

They are torchvision's below `backbone.`; the linear layer is `head.fc`.
Source: mmpretrain/models/backbones/{resnet,resnext}.py, models/heads/linear_head.py.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from resnext_det.weights.content import FileContent
from resnext_det.weights.convention import torchvision_convention
from resnext_det.weights.naming.base import Naming, Renamed
from resnext_det.weights.naming.mmpretrain_config import convention_of, strides_in_1x1
from resnext_det.weights.naming.name_table import rename_all
from resnext_det.weights.naming.norms import norm_of
from resnext_det.weights.naming.torchvision import TABLE, convention_of_stem, meaning_of_extra
from resnext_det.weights.side_car import SideCar

_BACKBONE, _HEAD = "backbone.", "head.fc."
_PREPROCESSOR = "data_preprocessor."
# Parts of mmdetection's and mmsegmentation's networks.
_OTHERS = ("neck.", "rpn_head.", "roi_head.", "bbox_head.", "mask_head.", "decode_head.",
           "auxiliary_head.")  # fmt: skip


def _to_ours(content: FileContent) -> Renamed:
    others = [key for key in content.tensors if key.startswith(_OTHERS)]
    kept = {
        key: tensor
        for key, tensor in content.tensors.items()
        if not key.startswith((*_OTHERS, _PREPROCESSOR))
    }
    state = rename_all(kept, _rename, _meaning)
    notes = ()
    if others:
        notes = (f"its backbone alone is taken, {len(others)} tensors left out ({others[0]} …)",)
    convention = convention_of(content)
    if convention is None and not others:
        usual = replace(torchvision_convention(), stride_in_1x1=strides_in_1x1(content))
        convention = convention_of_stem(state, usual)
    names, more = _class_names(content.extras, state)
    side_car = SideCar(
        naming="mmpretrain", convention=convention, norm=norm_of(state), class_names=names
    )
    return Renamed(state, side_car, (*notes, *more))


def _from_ours(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return rename_all(state, _rename_back)


def _rename(key: str) -> str | None:
    if key.startswith(_HEAD):
        return TABLE.ours(f"fc.{key.removeprefix(_HEAD)}")
    inner = key.removeprefix(_BACKBONE)
    return None if inner == key or inner.startswith("fc.") else TABLE.ours(inner)


def _rename_back(key: str) -> str | None:
    theirs = TABLE.theirs(key)
    if theirs is not None and theirs.startswith("fc."):
        return f"{_HEAD}{theirs.removeprefix('fc.')}"
    return theirs and f"{_BACKBONE}{theirs}"


def _meaning(key: str) -> str:
    return meaning_of_extra(key.removeprefix(_BACKBONE))


def _class_names(
    extras: Mapping[str, Any], state: Mapping[str, Tensor]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the names in `meta`, and a note where they are not as they stand there."""
    meta = extras.get("meta")
    if not isinstance(meta, Mapping):
        return (), ()
    inner = meta.get("dataset_meta")
    places = [inner, meta] if isinstance(inner, Mapping) else [meta]
    found = (place.get(key) for place in places for key in ("classes", "CLASSES"))
    names = next((n for n in found if isinstance(n, list | tuple) and n), ())
    head = state.get("linear.bias")
    if head is None or not names:
        return (), ()
    if len(names) != len(head) or not all(isinstance(name, str) for name in names):
        return (), (f"{len(names)} class names beside {len(head)} logits are left out",)
    return _each_once(names)


def _each_once(names: list[str] | tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tells names apart that come twice: ImageNet has two cranes."""
    seen: set[str] = set()
    told = []
    for number, name in enumerate(names):
        told.append(name if name not in seen else f"{name} ({number})")
        seen.update((name, told[-1]))
    changed = [new for new, old in zip(told, names, strict=True) if new != old]
    if not changed:
        return tuple(names), ()
    return tuple(told), (f"class names that come twice got their number: {', '.join(changed[:3])}",)


MMPRETRAIN = Naming(
    name="mmpretrain",
    recognises=lambda content: f"{_BACKBONE}layer1.0.conv2.weight" in content.tensors,
    to_ours=_to_ours,
    from_ours=_from_ours,
)
