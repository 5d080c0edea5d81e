"""MODEL.WEIGHTS: a file, an address or a name such as torchvision://… Engine-neutral."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from resnext_det.errors import UserError
from resnext_det.weights.cache import kept_sum
from resnext_det.weights.catalog import find_by_file
from resnext_det.weights.content import FileContent
from resnext_det.weights.contradictions import check_tensors, warn_of_others
from resnext_det.weights.convention import Convention
from resnext_det.weights.expressing import NORM_EPS, fold_norm_eps
from resnext_det.weights.naming.registry import give_our_names
from resnext_det.weights.provenance import side_car_of_checkpoint
from resnext_det.weights.readers.reading import read_weights_file
from resnext_det.weights.readers.state_dicts import content_of
from resnext_det.weights.remote import locate_weights
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import check_digest, read_beside, read_header
from resnext_det.weights.statements import Statements


@dataclass(frozen=True)
class Weights:
    """Tensors by our names, and what is known of where they come from.

    Attributes:
        state: a detector's full names, or a classifier's without a prefix (`res2.0.…`).
        source: the path or address that the user gave, for messages.
        side_car: what is known of them.
        file_sha256: of the file that they were read from; empty where there was none.
        notes: a line each on what was moved or left out when their names became ours.
        config: of the run that wrote them, as YAML text; empty where the file holds none.
    """

    state: dict[str, Tensor]
    source: str
    side_car: SideCar = field(default_factory=SideCar)
    file_sha256: str = ""
    notes: tuple[str, ...] = ()
    config: str = field(default="", repr=False)

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
        return read_weights(spec)
    except UserError as error:
        raise UserError(f"MODEL.WEIGHTS {error}") from error


def read_weights(spec: str) -> Weights:
    """Reads a file, or fetches what has a name and reads that; see `resolve_weights`.

    Raises:
        UserError: it is not there, cannot be fetched, or is nothing we can read.
    """
    located = locate_weights(spec)
    return weights_of_file(located.path, located.source, located.side_car)


def weights_from_state(
    state: Mapping[str, Any], source: str, side_car: SideCar | None = None
) -> Weights:
    """Takes a state dict in any known naming and gives it ours.

    Raises:
        UserError: its names are of no ResNet or ResNeXt that we know, or a tensor has no plain
            real numbers.
    """
    said = Statements(place=side_car or SideCar())
    return weights_from_content(content_of(state, "memory", source), source, said)


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
    content: FileContent, source: str, said: Statements | None = None
) -> Weights:
    """Gives a file's tensors our names, and collects what is known of them.

    Args:
        content: as a reader returns it.
        source: its path or address, for messages.
        said: what is said of it beside its content and its names.

    Raises:
        UserError: nobody knows its names.
    """
    renamed = give_our_names(content, source)
    for note in renamed.notes:
        logging.getLogger(__name__).info("%s: %s", source, note)
    inside = side_car_of_checkpoint(content.extras, source)
    known = replace(said or Statements(), content=inside, names=renamed.side_car).known
    config = content.extras.get("config")
    text = config if isinstance(config, str) else ""
    return with_our_eps(Weights(renamed.state, source, known, notes=renamed.notes, config=text))


def with_our_eps(weights: Weights) -> Weights:
    """Moves an epsilon that is not ours into the variances: the outputs stay what they were.

    Raises:
        UserError: the norms have no variances.
    """
    eps = weights.side_car.norm_eps
    if eps is None or math.isclose(eps, NORM_EPS, rel_tol=1e-6):
        return weights
    if weights.side_car.norm == "GN":
        raise UserError(
            f"{weights.source}: its group norms were trained with epsilon {eps:g}, ours have "
            f"{NORM_EPS:g}, and they keep no variance that could make up for it"
        )
    logging.getLogger(__name__).info(
        "%s: its norms were trained with epsilon %g; what it has over %g is in their variances now",
        weights.source,
        eps,
        NORM_EPS,
    )
    state = fold_norm_eps(weights.state, eps)
    return replace(weights, state=state, side_car=replace(weights.side_car, norm_eps=NORM_EPS))


def weights_of_file(path: Path, source: str, elsewhere: SideCar | None = None) -> Weights:
    """Reads a file and all that is known of it; `Statements` has whom to believe.

    Args:
        path: the file.
        source: the path or address that the user gave, for messages.
        elsewhere: what is known of the place that the file was fetched from.

    Raises:
        UserError: it cannot be read, nobody knows its names, or its side-car is damaged, of
            another file, or says what its tensors cannot be.
    """
    content = read_weights_file(path, source)
    side_car = read_header(content.extras, source) or read_beside(path) or SideCar()
    check_digest(side_car, content.tensors, source)
    digest = kept_sum(path)
    entry = find_by_file(path, digest)
    catalogue = entry.as_side_car() if entry else SideCar()
    said = Statements(side_car=side_car, place=elsewhere or SideCar(), catalogue=catalogue)
    weights = weights_from_content(content, source, said)
    check_tensors(side_car, weights.state, source)
    warn_of_others(side_car, side_car_of_checkpoint(content.extras, source), source)
    return replace(weights, file_sha256=digest)
