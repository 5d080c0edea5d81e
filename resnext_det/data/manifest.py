"""What a prepared data set is made of: its manifest.json. Engine-neutral.

`resnext-det dataset prepare` leaves one beside the split folders it made or checked. Loading a
split counts its images against it, so that a lost file is noticed before a run and not in its
result.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError
from resnext_det.json_files import read_json
from resnext_det.whole_files import write_text_safe

FILE_NAME = "manifest.json"
FORMAT = 1
CHECKED_FOLDER = "folder"
"""The kind of a user's own folder, which was counted and not made."""

logger = logging.getLogger(__name__)


def package_version() -> str:
    """Returns the version of this package; "unknown" in a checkout that is not installed."""
    try:
        return metadata.version("resnext-det")
    except metadata.PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True)
class SourceFile:
    """An archive or folder that images came from.

    Attributes:
        name: its name, without the folder that it is in.
        size: bytes; 0 for a folder.
        md5: hexadecimal, as archives are published with it; None where it was not computed.
        sha256: hexadecimal; None where it was not computed.
    """

    name: str
    size: int
    md5: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class SplitRecord:
    """One split of a prepared set.

    Attributes:
        kind: the KIND of `resnext-det dataset prepare`.
        classes: class folder -> how many images it has.
        sources: what the images came from.
        command: the command line that made it.
        version: of this package.
        broken: images that no decoder reads, below the split's folder.
        notes: what else is worth keeping, such as published figures beside what was found.
    """

    kind: str
    classes: Mapping[str, int]
    sources: tuple[SourceFile, ...] = ()
    command: str = ""
    version: str = field(default_factory=package_version)
    broken: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """How many images there are."""
        return sum(self.classes.values())

    def __str__(self) -> str:
        return f"{self.images:,} images of {len(self.classes):,} classes"


@dataclass(frozen=True)
class Manifest:
    """The splits of a prepared set, by the names of their folders."""

    splits: Mapping[str, SplitRecord] = field(default_factory=dict)

    def with_split(self, name: str, record: SplitRecord) -> "Manifest":
        """Returns the manifest with one split more, or another one of that name."""
        return replace(self, splits={**self.splits, name: record})


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a prepared set; an empty one where there is none.

    Args:
        folder: the folder that holds the split folders.

    Raises:
        UserError: the file is no manifest, or one of a newer version.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return Manifest()
    content = read_json(path)
    known = content.get("format") if isinstance(content, dict) else None
    if known != FORMAT:
        raise UserError(
            f"{path}: not a manifest that this version reads (format {known!r}, not {FORMAT}): "
            "move it away if another program made it"
        )
    try:
        return Manifest({name: _split(record) for name, record in content["splits"].items()})
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: a damaged manifest ({error}): delete it") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest, whole or not at all.

    Raises:
        UserError: the disk takes no more, or refuses the file.
    """
    splits = {name: asdict(record) for name, record in manifest.splits.items()}
    for name, record in manifest.splits.items():
        splits[name]["images"] = record.images
    content = {"format": FORMAT, "splits": splits}
    write_text_safe(folder / FILE_NAME, json.dumps(content, indent=1) + "\n")


def check_against_manifest(root: Path, counts: Mapping[str, int]) -> None:
    """Counts the images of a split against the manifest beside it, where there is one.

    Args:
        root: the split's folder.
        counts: class folder -> images found in it.

    Raises:
        UserError: a set that was prepared lacks images or has more. A user's own folder that
            was only checked may grow: that is a warning.
    """
    root = root.absolute()
    if not _is_manifest(root.parent / FILE_NAME):
        return
    record = read_manifest(root.parent).splits.get(root.name)
    if record is None or dict(record.classes) == dict(counts):
        return
    names = sorted({*record.classes, *counts})
    name = next(n for n in names if record.classes.get(n, 0) != counts.get(n, 0))
    found = f"{root / name}: {counts.get(name, 0)} images, but {root.parent / FILE_NAME} has "
    found += f"{record.classes.get(name, 0)} ({sum(counts.values())} and {record.images} in all)"
    if record.kind == CHECKED_FOLDER:
        logger.warning("%s: run `resnext-det dataset prepare folder` again", found)
        return
    raise UserError(
        f"{found}: prepare the set again in an empty folder, or delete the manifest if the change "
        "is meant"
    )


def _is_manifest(path: Path) -> bool:
    """Returns whether a file of that name may be ours: others, as the quickstart's, have no splits.

    A folder is trained on whatever else lies beside it.
    """
    try:
        content = read_json(path)
    except UserError:
        return False
    return isinstance(content, dict) and "splits" in content


def _split(record: Mapping[str, Any]) -> SplitRecord:
    return SplitRecord(
        kind=record["kind"],
        classes=dict(record["classes"]),
        sources=tuple(SourceFile(**source) for source in record["sources"]),
        command=record["command"],
        version=record["version"],
        broken=tuple(record["broken"]),
        notes=dict(record["notes"]),
    )
