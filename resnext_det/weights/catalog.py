"""Public weights for our networks: where they are, how good, under which licence. Engine-neutral.

`catalog.json` beside this module is written by `tools/weights_catalog.py` from what the projects
publish; each figure and each licence names its source there.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from resnext_det.errors import UserError
from resnext_det.file_digests import md5_of
from resnext_det.modeling import list_variants
from resnext_det.weights.convention import Convention
from resnext_det.weights.side_car import SideCar


@dataclass(frozen=True)
class CatalogEntry:
    """One file of weights that somebody publishes.

    Attributes:
        variant: name of the network, of `list_variants()` or made in the same way.
        spec: what MODEL.WEIGHTS takes.
        task: what the file holds: a classifier (or its backbone), or a detector.
        origin: "torchvision", "timm", "mmpretrain", "pycls", "detectron2", "detectron", "torch7".
        address: of the file, where it has one.
        sha256: of the file at `address`, or the first digits of it; "" where nobody says.
        md5: likewise.
        num_classes: of the head; 0 for none, None where the source does not say.
        convention: what the weights expect of their input.
        norm: "BN", "affine" (folded BatchNorm) or "GN".
        accuracy: as published, in percent: top1 and top5, or AP, mask_AP, keypoint_AP, PQ.
        pixels: side of the square images that `accuracy` was measured on; None where not said.
        accuracy_source: who says so.
        licence: SPDX identifier; "" where nobody states one for the weights.
        licence_source: who says so.
        config: our config of the same detector, below configs/; "" for a classifier.
        remark: what a user has to know, in a few words.
    """

    variant: str
    spec: str
    task: Literal["classification", "detection"]
    origin: str
    address: str
    sha256: str
    md5: str
    num_classes: int | None
    convention: Convention
    norm: str
    accuracy: Mapping[str, float]
    pixels: int | None
    accuracy_source: str
    licence: str
    licence_source: str
    config: str
    remark: str

    @property
    def file_name(self) -> str:
        """Returns the last part of the address."""
        return unquote(urlsplit(self.address).path.rpartition("/")[2])

    def as_side_car(self) -> SideCar:
        """Returns what is known of the weights once they are loaded."""
        return SideCar(
            origin=self.spec,
            architecture=self.variant,
            convention=self.convention,
            norm=self.norm,
            licence=self.licence,
            accuracy=self.accuracy,
        )


def entry_from_json(tree: Mapping[str, Any]) -> CatalogEntry:
    """Reads one entry; every field of `CatalogEntry` is in it."""
    values = {field.name: tree[field.name] for field in fields(CatalogEntry)}
    said = tree["convention"]
    mean, std = (tuple(said[name]) for name in ("mean", "std"))
    values["convention"] = Convention(said["format"], mean, std, said["stride_in_1x1"])
    return CatalogEntry(**values)


@cache
def catalog() -> tuple[CatalogEntry, ...]:
    """Returns all entries, in the order of the file: by variant, the most accurate first."""
    text = resources.files("resnext_det.weights").joinpath("catalog.json").read_text("utf-8")
    return tuple(entry_from_json(tree) for tree in json.loads(text)["entries"])


def catalogued_variants() -> tuple[str, ...]:
    """Returns the names of our variants, and of the wider ones that weights exist for."""
    return tuple(sorted({*list_variants(), *(entry.variant for entry in catalog())}))


def entries_of(variant: str) -> tuple[CatalogEntry, ...]:
    """Returns the weights for a network, none for one that nobody published any for.

    Raises:
        UserError: there is no such network, with the nearest.
    """
    known = catalogued_variants()
    if variant not in known:
        close = difflib.get_close_matches(variant, known, n=1, cutoff=0.0)
        raise UserError(f"no variant is named {variant!r}; the nearest is {close[0]!r}")
    return tuple(entry for entry in catalog() if entry.variant == variant)


def find_entry(spec: str) -> CatalogEntry | None:
    """Returns the entry that MODEL.WEIGHTS names, by its name or by its address."""
    by_name = (entry for entry in catalog() if entry.spec == spec)
    by_address = (entry for entry in _originals_first() if entry.address == spec)
    return next(chain(by_name, by_address), None)


def find_by_digest(sha256: str = "", md5: str = "") -> CatalogEntry | None:
    """Returns the entry of the file that has these sums, in hexadecimal; either may be left out."""
    for entry in _originals_first():
        if entry.sha256 and sha256.startswith(entry.sha256):
            return entry
        if entry.md5 and md5.startswith(entry.md5):
            return entry
    return None


def find_by_file(path: Path, sha256: str) -> CatalogEntry | None:
    """Returns the entry of a local file, whatever it is called and wherever it lies.

    Of the files that are published with an MD5 sum alone, Detectron2's detectors, only one that
    still has its name is found: the sum is not taken of others.

    Args:
        path: of the file.
        sha256: its sum, which the caller has.
    """
    by_md5 = any(entry.md5 and entry.file_name == path.name for entry in catalog())
    return find_by_digest(sha256, md5_of(path) if by_md5 else "")


def _originals_first() -> list[CatalogEntry]:
    """All entries; timm's last, which have the addresses of what they are copies of."""
    return sorted(catalog(), key=lambda entry: entry.origin == "timm")
