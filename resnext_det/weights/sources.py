"""MODEL.WEIGHTS: a file, an address or a name such as torchvision://… Engine-neutral."""

import contextlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from resnext_det.errors import UserError
from resnext_det.weights.content import FileContent
from resnext_det.weights.convention import Convention, convention_from_config
from resnext_det.weights.naming.registry import give_our_names
from resnext_det.weights.readers.reading import read_weights_file
from resnext_det.weights.readers.state_dicts import content_of
from resnext_det.weights.remote import fetch_weights, is_remote
from resnext_det.weights.side_car import SideCar


@dataclass(frozen=True)
class Weights:
    """Tensors by our names, and what is known of where they come from.

    Attributes:
        state: a detector's full names, or a classifier's without a prefix (`res2.0.…`).
        source: the path or address that the user gave, for messages.
        side_car: what is known of them.
    """

    state: dict[str, Tensor]
    source: str
    side_car: SideCar = field(default_factory=SideCar)

    @property
    def convention(self) -> Convention | None:
        """How their images were normalised, None where that is not known."""
        return self.side_car.convention

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the head, empty where they are not known."""
        return self.side_car.class_names


def resolve_weights(spec: str) -> Weights | None:
    """Reads what MODEL.WEIGHTS names, onto the CPU.

    Args:
        spec: a path to a file of any form that `weights inspect` knows; an http(s) address of
            one; `torchvision://NAME/WEIGHTS`; `timm://NAME[.TAG]`; `detectron2://PATH`; or "".

    Returns:
        The weights, or None for "": training from scratch, which the log then says.

    Raises:
        UserError: it is not there, cannot be fetched, or is nothing we can read.
    """
    if not spec:
        logging.getLogger(__name__).info("MODEL.WEIGHTS is empty: training from scratch")
        return None
    try:
        if is_remote(spec):
            fetched = fetch_weights(spec)
            return _weights_of_file(fetched.path, fetched.source, fetched.side_car)
        return _weights_of_file(Path(spec), spec)
    except UserError as error:
        raise UserError(f"MODEL.WEIGHTS {error}") from error


def weights_from_state(
    state: Mapping[str, Any], source: str, side_car: SideCar | None = None
) -> Weights:
    """Takes a state dict in any known naming and gives it ours.

    Raises:
        UserError: its names are of no ResNet or ResNeXt that we know, or a tensor has no plain
            real numbers.
    """
    return weights_from_content(content_of(state, "memory", source), source, side_car)


def weights_from_checkpoint(content: Mapping[str, Any], source: str) -> Weights:
    """Takes the weights, the convention and the class names out of a loaded checkpoint.

    Args:
        content: a bare state dict, or one under `model` or `state_dict` with more beside it.
        source: its path, for messages.

    Raises:
        UserError: as `weights_from_state`.
    """
    return weights_from_content(content_of(content, "memory", source), source)


def weights_from_content(
    content: FileContent, source: str, side_car: SideCar | None = None
) -> Weights:
    """Gives a file's tensors our names, and collects what is known of them.

    Args:
        content: as a reader returns it.
        source: its path or address, for messages.
        side_car: what is known from elsewhere, which goes before what the file's names tell.

    Raises:
        UserError: nobody knows its names.
    """
    renamed = give_our_names(content, source)
    for note in renamed.notes:
        logging.getLogger(__name__).info("%s: %s", source, note)
    known = (side_car or SideCar()).over(_from_extras(content.extras, source))
    return Weights(renamed.state, source, known.over(renamed.side_car))


def _weights_of_file(path: Path, source: str, side_car: SideCar | None = None) -> Weights:
    return weights_from_content(read_weights_file(path, source), source, side_car)


def _from_extras(extras: Mapping[str, Any], source: str) -> SideCar:
    """What a checkpoint of a run says of itself."""
    config = extras.get("config")
    convention = convention_from_config(config) if isinstance(config, str) else None
    return SideCar(convention=convention, class_names=_class_names(extras, source))


def _class_names(extras: Mapping[str, Any], source: str) -> tuple[str, ...]:
    names = extras.get("class_names")
    if names is None:
        return ()
    if isinstance(names, str):  # a safetensors header holds strings alone
        with contextlib.suppress(ValueError):
            names = json.loads(names)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{source}: its class_names are no list of names; mend or remove them")
    if len(set(names)) < len(names):
        raise UserError(f"{source}: its class_names have a name twice; mend or remove them")
    return tuple(names)
