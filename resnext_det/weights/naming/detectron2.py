"""Detectron2's names, which are ours. Engine-neutral."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from resnext_det.weights.content import FileContent
from resnext_det.weights.naming.base import Naming, Renamed
from resnext_det.weights.naming.detectron2_zoo import ZOO, convention_by_author
from resnext_det.weights.naming.norms import norm_of
from resnext_det.weights.side_car import SideCar

_BACKBONE = re.compile(r"(?:^|\.)(?:stem|res\d)\.")
_ENDING = re.compile(r"(?:^|\.)((?:stem|res\d)\..+)$")
# What older Detectron2 kept in the model and newer computes from the config; it ignores them, too.
_COMPUTED = re.compile(r"pixel_(?:mean|std)|.*anchor_generator\.cell_anchors\.\d+")
# tools/convert-torchvision-to-d2.py puts `stem.` before whatever is in no layer.
_CLASSIFIER = "stem.fc."
_ZOO_LICENCE = "CC-BY-SA-3.0"  # MODEL_ZOO.md of Detectron2, "License"


def is_backbone_key(key: str) -> bool:
    """Tells whether a tensor of ours belongs to the stem or to a stage, under any prefix."""
    return _BACKBONE.search(key) is not None


def backbone_ending(name: str) -> str | None:
    """Returns a name without its prefix, from the stem or the stage on; None for other names."""
    match = _ENDING.search(name)
    return match[1] if match else None


def is_ours(keys: Iterable[str]) -> bool:
    """Tells state dicts in Detectron2's names, of a classifier, a backbone or a detector."""
    return any(is_backbone_key(key) for key in keys)


def to_ours(content: FileContent) -> Renamed:
    """Takes names as they are, but for the classifier of a converted torchvision model.

    Args:
        content: a .pth of Detectron2 or of ours, or a .pkl of `model` and `__author__`.
    """
    norm = norm_of(content.tensors)
    author = content.extras.get("__author__")
    convention, note = convention_by_author(author, content.tensors, norm)
    if author == ZOO and norm == "BN" and _is_folded(content.tensors):
        norm = "affine"
    state = {
        _with_linear(key): value
        for key, value in content.tensors.items()
        if not _COMPUTED.fullmatch(key)
    }
    licence = _ZOO_LICENCE if author == ZOO else ""
    side_car = SideCar(naming="detectron2", convention=convention, norm=norm, licence=licence)
    return Renamed(state, side_car, (note,) if note else ())


def from_ours(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the same names, of a classifier, a backbone or a whole detector."""
    return dict(state)


def _with_linear(key: str) -> str:
    return f"linear.{key.removeprefix(_CLASSIFIER)}" if key.startswith(_CLASSIFIER) else key


def _is_folded(state: Mapping[str, Tensor]) -> bool:
    """Tells statistics that Detectron2 made up for a backbone of Detectron's: mean 0, variance 1.

    A trained network has no such; a fresh one has, but is in no zoo.
    """
    wanted = {"running_mean": 0.0, "running_var": 1.0}
    return all(
        bool((value == wanted[leaf]).all())
        for key, value in state.items()
        if is_backbone_key(key) and (leaf := key.rpartition(".")[2]) in wanted
    )


DETECTRON2 = Naming(
    name="detectron2",
    recognises=lambda content: is_ours(content.tensors),
    to_ours=to_ours,
    from_ours=from_ours,
)
