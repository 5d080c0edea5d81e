"""A side-car against the file that it describes: what both say has to agree. Engine-neutral."""

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from resnext_det.errors import UserError
from resnext_det.modeling.variants import get_variant, list_variants
from resnext_det.weights.architecture import Architecture, architecture_of, infer_architecture
from resnext_det.weights.heads import infer_head
from resnext_det.weights.side_car import SideCar

_TOLD_TWICE = ("convention", "licence", "class_names")  # by a checkpoint of a run, too
_OTHER_ROWS = "semantic FPN"  # its rows are not the classes that are named


def check_tensors(side_car: SideCar, state: Mapping[str, Tensor], source: str) -> None:
    """Refuses a side-car that says what the tensors beside it cannot be.

    Args:
        side_car: as read from the file or beside it.
        state: the file's tensors in our names.
        source: of the file, for the message.

    Raises:
        UserError: their norm, architecture or number of classes is another; both are named.
    """
    architecture, head = infer_architecture(state), infer_head(state)
    found: dict[str, tuple[str, str]] = {}
    if architecture and (theirs := architecture.norm) != _statistics(side_car.norm or theirs):
        found["norm"] = side_car.norm, theirs or "none"
    if architecture and not _is_variant(architecture, side_car.architecture):
        found["architecture"] = side_car.architecture, architecture.name
    named, rows = len(side_car.class_names), head.num_classes
    if named and rows not in (None, named) and head.kind != _OTHER_ROWS:
        found["class_names"] = f"{named} names", f"a head of {rows} classes"
    for entry, (said, seen) in found.items():
        raise UserError(
            f"{source}: {entry} of its side-car is {said}, but its tensors are of {seen}: mend "
            "the side-car or remove it"
        )


def warn_of_others(side_car: SideCar, inside: SideCar, source: str) -> None:
    """Says in the log where a side-car and the checkpoint itself differ; the side-car's counts.

    Args:
        side_car: as read from beside the file.
        inside: what the checkpoint says of itself.
        source: of the file, for the message.
    """
    unknown: Any = SideCar()
    for field in _TOLD_TWICE:
        ours, theirs = getattr(side_car, field), getattr(inside, field)
        if getattr(unknown, field) in (ours, theirs) or ours == theirs:
            continue
        logging.getLogger(__name__).warning(
            "%s: %s of its side-car is %s, that in the file itself %s: the side-car's is taken",
            source,
            field,
            ours,
            theirs,
        )


def _statistics(norm: str) -> str:
    """Folded BatchNorm has the statistics of an identity, and so the names of any."""
    return "BN" if norm == "affine" else norm


def _is_variant(architecture: Architecture, name: str) -> bool:
    """Compares with a variant over the stages that are there; any other text passes."""
    if name not in list_variants():
        return True
    variant = get_variant(name)
    numbers = variant.depth, variant.num_groups, variant.width_per_group
    return architecture.fits(architecture_of(*numbers))
