"""What a run's files say of the weights that it started from. Engine-neutral.

A checkpoint keeps it, so that a detector that began from weights under a licence says so, and so do
those that begin from that detector.
"""

import contextlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from resnext_det.errors import UserError
from resnext_det.weights.convention import convention_from_config
from resnext_det.weights.licences import normalised
from resnext_det.weights.side_car import FROM_SCRATCH, SideCar
from resnext_det.weights.side_car_values import checked_names, checked_value

if TYPE_CHECKING:
    from resnext_det.weights.sources import Weights

ENTRY = "started_from"  # of a checkpoint


def provenance(weights: "Weights | None") -> dict[str, str]:
    """Returns what a checkpoint and result.json keep of weights, plain strings by entry.

    Args:
        weights: None for a run from scratch.

    Returns:
        `source`, as the user named it; `sha256` of that file; `licence`; and `origin`, where the
        source itself came from. What is not known is left out.
    """
    if weights is None:
        return {"origin": FROM_SCRATCH}
    entries = {
        "source": weights.source,
        "sha256": weights.file_sha256,
        "licence": normalised(weights.side_car.licence),
        "origin": weights.side_car.origin or weights.source,
    }
    return {key: value for key, value in entries.items() if value}


def kept_provenance(state: Mapping[str, Any]) -> dict[str, str]:
    """Returns what the checkpoint that a run goes on from says of the run's own start.

    Args:
        state: the loaded checkpoint; an older one says nothing.
    """
    entries = state.get(ENTRY)
    return dict(entries) if isinstance(entries, Mapping) else {}


def side_car_of_checkpoint(extras: Mapping[str, Any], source: str) -> SideCar:
    """Returns what a checkpoint of a run says of itself: convention, classes, licence, origin.

    Args:
        extras: what stands beside its tensors.
        source: its path, for messages.

    Raises:
        UserError: an entry is not what a run writes.
    """
    config, start = extras.get("config"), _start(extras, source)
    return SideCar(
        origin=start.get("origin", ""),
        convention=convention_from_config(config) if isinstance(config, str) else None,
        class_names=_class_names(extras, source),
        licence=start.get("licence", ""),
        origin_sha256=start.get("origin_sha256", ""),
    )


def _start(extras: Mapping[str, Any], source: str) -> dict[str, str]:
    """Field of SideCar -> its value, of the weights that the run started from."""
    start = extras.get(ENTRY, {})
    fields = {"origin": "origin", "licence": "licence", "sha256": "origin_sha256"}
    try:
        if not isinstance(start, Mapping):
            raise ValueError("an object")
        found = {field: start[entry] for entry, field in fields.items() if entry in start}
        return {field: checked_value(field, value) for field, value in found.items()}
    except ValueError as error:
        raise UserError(f"{source}: its {ENTRY} is not what a run writes; remove it") from error


def _class_names(extras: Mapping[str, Any], source: str) -> tuple[str, ...]:
    names = extras.get("class_names")
    if names is None:
        return ()
    if isinstance(names, str):  # a safetensors header holds strings alone
        with contextlib.suppress(ValueError, RecursionError):
            names = json.loads(names)
    try:
        return checked_names(names)
    except ValueError as error:
        what = "have a name twice" if "twice" in str(error) else "are no list of names"
        raise UserError(f"{source}: its class_names {what}; mend or remove them") from None
