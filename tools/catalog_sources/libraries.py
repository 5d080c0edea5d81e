"""The weights of torchvision and timm, as the installed libraries describe them. Engine-neutral."""

import csv
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import timm
import torchvision
from timm.models import get_pretrained_cfg

from resnext_det.weights.catalog import CatalogEntry
from resnext_det.weights.convention import Convention
from resnext_det.weights.licences import normalised
from resnext_det.weights.remote_names import is_plain_resnet
from tools.catalog_sources.entries import make_entry, sha256_in_name, variant_of

_NAME = re.compile(r"(?:wide_)?res(?:net|next)(\d+)(?:_(\d+)x(\d+)d|_(\d))?")
_DATA = {  # part of timm's tag -> what it stands for
    "yfcc100m": "first trained on YFCC100M",
    "ig1b": "first trained on IG-1B",
}
_BY_TIMM = "timm {version}, pretrained_cfg of {name}"


def torchvision_entries() -> list[CatalogEntry]:
    """Returns torchvision's, with the figures of each enum's `meta`."""
    names = [name for name in torchvision.models.list_models() if is_plain_resnet(name)]
    licences = _licences_by_address()
    return [
        _torchvision_entry(name, entry, licences)
        for name in names
        for entry in torchvision.models.get_model_weights(name)
    ]


def _torchvision_entry(name: str, entry: Any, licences: dict[str, tuple[str, str]]) -> CatalogEntry:
    figures = entry.meta["_metrics"]["ImageNet-1K"]
    preset = entry.transforms()
    licence, source = licences.get(entry.url, ("", ""))
    return make_entry(
        variant=variant_of_name(name),
        spec=f"torchvision://{name}/{entry.name}",
        origin="torchvision",
        address=entry.url,
        sha256=sha256_in_name(entry.url),
        num_classes=len(entry.meta["categories"]),
        convention=_convention(preset.mean, preset.std),
        accuracy={"top1": figures["acc@1"], "top5": figures["acc@5"]},
        pixels=preset.crop_size[0],
        accuracy_source=f"torchvision {_version('torchvision')}, {entry}.meta",
        licence=licence,
        licence_source=f"{source}, the same file" if source else "",
    )


def timm_entries(results: Path) -> list[CatalogEntry]:
    """Returns timm's.

    Args:
        results: results/results-imagenet.csv of its repository.
    """
    with results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in timm.list_pretrained() if is_plain_resnet(name.partition(".")[0])]
    return [_timm_entry(name, rows) for name in names]


def _timm_entry(name: str, rows: list[dict[str, str]]) -> CatalogEntry:
    settings: Any = get_pretrained_cfg(name)
    address = settings.url or ""
    licence = normalised(settings.license or "")
    figures, pixels = _figures(name, settings, rows)
    return make_entry(
        variant=variant_of_name(name.partition(".")[0]),
        spec=f"timm://{name}",
        origin="timm",
        address=address,
        sha256=sha256_in_name(address),
        num_classes=settings.num_classes,
        convention=_convention(settings.mean, settings.std),
        accuracy=figures,
        pixels=pixels,
        accuracy_source="timm, results/results-imagenet.csv" if figures else "",
        licence=licence,
        licence_source=_BY_TIMM.format(version=_version("timm"), name=name) if licence else "",
        remark=_remark(name, settings),
    )


def _figures(
    name: str, settings: Any, rows: list[dict[str, str]]
) -> tuple[dict[str, float], int | None]:
    """The row that was measured on images of the size that timm tests with."""
    pixels = (settings.test_input_size or settings.input_size)[-1]
    crop = settings.test_crop_pct or settings.crop_pct
    for row in rows:
        same = int(row["img_size"]) == pixels and abs(float(row["crop_pct"]) - crop) < 1e-6
        if row["model"] == name and same:
            return {"top1": float(row["top1"]), "top5": float(row["top5"])}, pixels
    return {}, None


def _remark(name: str, settings: Any) -> str:
    remarks = [text for part, text in _DATA.items() if part in name]
    if settings.num_classes == 0:
        remarks.append("no classifier")
    if "pytorch.org/models" in (settings.url or "") and ".tv" in name:
        remarks.append("torchvision's")
    return "; ".join(remarks)


def _licences_by_address() -> dict[str, tuple[str, str]]:
    """Address of a file -> the licence that timm states for it, and where."""
    found = {}
    for name in timm.list_pretrained():
        settings: Any = get_pretrained_cfg(name)
        if is_plain_resnet(name.partition(".")[0]) and settings.url and settings.license:
            source = _BY_TIMM.format(version=_version("timm"), name=name)
            found[settings.url] = (normalised(settings.license), source)
    return found


def variant_of_name(name: str) -> str:
    """Returns our name for torchvision's or timm's; their wide_resnet50_2 is 1x128d here."""
    found = _NAME.fullmatch(name)
    assert found, name
    depth, groups, width, factor = found.groups()
    if factor:
        return variant_of(int(depth), 1, 64 * int(factor))
    return variant_of(int(depth), int(groups or 1), int(width or 64))


def _convention(mean: Any, std: Any) -> Convention:
    scaled = (tuple(round(255.0 * value, 4) for value in values) for values in (mean, std))
    return Convention("RGB", *scaled)


def _version(package: str) -> str:
    return version(package).partition("+")[0]
