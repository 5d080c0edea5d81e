"""A weights file with all that anybody says of it, and no judgement yet. Engine-neutral.

For looking into files that no model of ours fits, whose side-car is damaged, or whose numbers are:
`sources.resolve_weights` refuses those.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of
from resnext_det.weights.catalog import find_by_digest
from resnext_det.weights.content import FileContent
from resnext_det.weights.naming.base import Naming, Renamed, UnknownNames
from resnext_det.weights.naming.registry import find_naming
from resnext_det.weights.provenance import side_car_of_checkpoint
from resnext_det.weights.readers.reading import read_weights_file
from resnext_det.weights.remote import locate_weights
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import digest_of, read_beside, read_header
from resnext_det.weights.sources import Weights, with_our_eps
from resnext_det.weights.statements import Statements


@dataclass(frozen=True)
class Opened:
    """What a file holds and what is said of it.

    Attributes:
        source: the path or address that the user gave.
        path: of the file, in a cache where it was fetched.
        sha256: of the file.
        content: as its reader returns it.
        digest: of its tensors, as `side_car_files.digest_of` has it.
        naming: whose names it has, None where nobody knows.
        renamed: its tensors by our names; None without a naming, or where it refuses them.
        refusal: why it does, in words; "" where it does not.
        said: who says what of it.
        problems: what is wrong with its content, a line each.
        side_car: "none", "valid", "without a digest", or in words what is wrong with it.
    """

    source: str
    path: Path
    sha256: str
    content: FileContent
    digest: str
    naming: Naming | None
    renamed: Renamed | None
    refusal: str
    said: Statements
    problems: tuple[str, ...]
    side_car: str

    @property
    def known(self) -> SideCar:
        """All that is said, by the most trusted who says it."""
        return self.said.known

    @property
    def weights(self) -> Weights | None:
        """As they are loaded: under our names, with our epsilon; None where there are none.

        Raises:
            UserError: they have an epsilon that cannot be made ours.
        """
        if self.renamed is None:
            return None
        return with_our_eps(Weights(self.renamed.state, self.source, self.known))


def open_weights(spec: str) -> Opened:
    """Reads a file, or what a name stands for, and takes it as it is.

    Args:
        spec: whatever MODEL.WEIGHTS takes, but "".

    Raises:
        UserError: it is not there, cannot be fetched, or is no weights file.
    """
    located = locate_weights(spec)
    path, source = located.path, located.source
    content = read_weights_file(path, source)
    digest, sha256 = digest_of(content.tensors), sha256_of(path)
    side_car, state = _read_side_car(path, content, digest, source)
    entry = find_by_digest(sha256)
    inside, problems = _from_extras(content.extras, source)
    naming = find_naming(content)
    renamed, refusal = _rename(naming, content)
    said = Statements(
        side_car=side_car,
        content=inside,
        place=located.side_car,
        catalogue=entry.as_side_car() if entry else SideCar(),
        names=renamed.side_car if renamed else SideCar(),
    )
    return Opened(
        source, path, sha256, content, digest, naming, renamed, refusal, said, problems, state
    )


def _read_side_car(
    path: Path, content: FileContent, digest: str, source: str
) -> tuple[SideCar, str]:
    """Returns the side-car and its state; one that is of other tensors says nothing of these."""
    try:
        found = read_header(content.extras, source) or read_beside(path)
    except UserError as error:
        return SideCar(), str(error)
    if found is None:
        return SideCar(), "none"
    if not found.sha256:
        return found, "without a digest"
    if found.sha256 != digest:
        return SideCar(), f"of other tensors (sha256 {found.sha256[:12]}…)"
    return found, "valid"


def _rename(naming: Naming | None, content: FileContent) -> tuple[Renamed | None, str]:
    if naming is None:
        return None, ""
    try:
        return naming.to_ours(content), ""
    except UnknownNames as error:
        return None, str(error)


def _from_extras(extras: Mapping[str, Any], source: str) -> tuple[SideCar, tuple[str, ...]]:
    try:
        return side_car_of_checkpoint(extras, source), ()
    except UserError as error:
        return SideCar(), (str(error),)


def known_fields() -> tuple[str, ...]:
    """Returns the names of what a side-car may say."""
    return tuple(field.name for field in fields(SideCar))
