"""Detectron2's names, which are ours. Engine-neutral."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from resnext_det.weights.content import FileContent
from resnext_det.weights.naming.base import Naming, Renamed
from resnext_det.weights.side_car import SideCar

_BACKBONE = re.compile(r"(?:^|\.)(?:stem|res\d)\.")


def is_backbone_key(key: str) -> bool:
    """Tells whether a tensor of ours belongs to the stem or to a stage, under any prefix."""
    return _BACKBONE.search(key) is not None


def is_ours(keys: Iterable[str]) -> bool:
    """Tells state dicts in Detectron2's names, of a classifier, a backbone or a detector."""
    return any(is_backbone_key(key) for key in keys)


def _to_ours(content: FileContent) -> Renamed:
    return Renamed(dict(content.tensors), SideCar(naming="detectron2"))


def _from_ours(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return dict(state)


DETECTRON2 = Naming(
    name="detectron2",
    recognises=lambda content: is_ours(content.tensors),
    to_ours=_to_ours,
    from_ours=_from_ours,
)
