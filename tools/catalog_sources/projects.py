"""The weights of mmpretrain, pycls and the authors, as their repositories say. Engine-neutral."""

import re
from pathlib import Path
from typing import Any

import yaml

from resnext_det.weights.catalog import CatalogEntry
from tools.catalog_sources.entries import (
    BGR,
    BGR_UNSCALED,
    MSRA,
    checked,
    make_entry,
    sha256_in_name,
    variant_of,
)

_MM_PLAIN = re.compile(r"(?:wide-)?res(?:net|next)(\d+)(?:-(\d+)x(\d+)d)?_")


def mmpretrain_entries(checkout: Path) -> list[CatalogEntry]:
    """Returns mmpretrain's, from its metafiles; its README's licence is the code's."""
    models: list[dict[str, Any]] = []
    for folder in ("resnet", "resnext", "wrn"):
        text = (checkout / "configs" / folder / "metafile.yml").read_text(encoding="utf-8")
        models += yaml.safe_load(text)["Models"]
    return [entry for model in models if (entry := _mmpretrain_entry(model))]


def _mmpretrain_entry(model: dict[str, Any]) -> CatalogEntry | None:
    result = model["Results"][0]
    found = _MM_PLAIN.match(model["Name"])  # resnetv1c50, resnetv1d50 have another stem
    if result["Dataset"] != "ImageNet-1k" or not found:
        return None
    depth, groups, width = found.groups()
    wide = model["Name"].startswith("wide-")
    base = width or (128 if wide else 64)
    copied = model.get("Converted From", {}).get("Weights", "")
    return make_entry(
        variant=variant_of(int(depth), int(groups or 1), int(base)),
        spec=model["Weights"],
        origin="mmpretrain",
        address=model["Weights"],
        sha256=sha256_in_name(model["Weights"]),
        accuracy={
            "top1": float(result["Metrics"]["Top 1 Accuracy"]),
            "top5": float(result["Metrics"]["Top 5 Accuracy"]),
        },
        accuracy_source=f"mmpretrain, {model['In Collection']} metafile.yml, {model['Name']}",
        remark=f"copy of {copied.rpartition('/')[2]}" if copied else "",
    )


def pycls_entries(checkout: Path) -> list[CatalogEntry]:
    """Returns pycls's, from its MODEL_ZOO.md; its README's licence is the code's."""
    text = (checkout / "MODEL_ZOO.md").read_text(encoding="utf-8")
    rows = re.findall(r"<!-- ROW ResNe(Xt|t)-(\d+) -->(.*?)</tr>", text, re.DOTALL)
    return [_pycls_entry(kind, int(depth), row) for kind, depth, row in rows]


def _pycls_entry(kind: str, depth: int, row: str) -> CatalogEntry:
    cells = re.findall(r'<td align="center">(.*?)</td>', row)
    address = cells[-1].split('"')[1]
    error = float(cells[6])
    sizes = (32, 4) if kind == "Xt" else (1, 64)
    return make_entry(
        variant=checked(variant_of(depth, *sizes)),
        spec=address,
        origin="pycls",
        address=address,
        convention=BGR,
        accuracy={"top1": round(100 - error, 3)},
        pixels=224,
        accuracy_source=f"pycls, MODEL_ZOO.md, ResNe{kind}-{depth}: error {error:g}",
    )


def authors_entries(resnext: Path, resnet: Path) -> list[CatalogEntry]:
    """Returns the Torch7 files of the authors: ResNeXt's README and fb.resnet.torch's.

    ResNet-50 and ResNet-200 are left out: that page says that one normalises after the addition
    and the other is pre-activated.
    """
    found = []
    text = (resnext / "README.md").read_text(encoding="utf-8")
    pattern = r"\| ResNeXt-(\d+) \((\d+)x(\d+)d\)\s*\|[^|]*\|\s*([\d.]+)\s*\| \[[^]]*\]\((\S+?)\)"
    for depth, groups, width, error, address in re.findall(pattern, text):
        found.append(
            make_entry(
                variant=checked(variant_of(int(depth), int(groups), int(width))),
                spec=address,
                origin="torch7",
                address=address,
                accuracy={"top1": round(100 - float(error), 3)},
                pixels=224,
                accuracy_source=f"facebookresearch/ResNeXt, README.md: error {error}",
                licence="CC-BY-NC-4.0",
                licence_source="facebookresearch/ResNeXt, README.md",
                remark="the paper's authors'",
            )
        )
    return found + _fb_resnet_entries(resnet)


def _fb_resnet_entries(checkout: Path) -> list[CatalogEntry]:
    text = (checkout / "pretrained" / "README.md").read_text(encoding="utf-8")
    table = text.partition("1-crop error rates")[2].partition("10-crop error rates")[0]
    entries = []
    for depth in (18, 34, 101, 152):
        address = re.search(rf"\((https://\S+/resnet-{depth}\.t7)\)", text)
        errors = re.search(rf"\| ResNet-{depth} +\| ([\d.]+) +\| ([\d.]+)", table)
        assert address, depth
        assert errors, depth
        entries.append(
            make_entry(
                variant=checked(variant_of(depth)),
                spec=address[1],
                origin="torch7",
                address=address[1],
                accuracy={
                    "top1": round(100 - float(errors[1]), 3),
                    "top5": round(100 - float(errors[2]), 3),
                },
                pixels=224,
                accuracy_source=(
                    f"facebookarchive/fb.resnet.torch, pretrained/README.md: error {errors[1]}, "
                    f"{errors[2]}"
                ),
            )
        )
    return entries


_DETECTRON = "https://dl.fbaipublicfiles.com/detectron/ImageNetPretrained"
_BY_SA = "CC-BY-SA-3.0"
_COPY_OF_AUTHORS = "the paper's authors', who give theirs under CC-BY-NC-4.0"


def detectron_entries(checkout: Path, detectron2: Path) -> list[CatalogEntry]:
    """Returns the ImageNet models of Detectron, whose BatchNorm is folded, and its GN models.

    The two with GroupNorm are on Detectron2's page, which has the same licence.
    """
    pages = {
        f"facebookresearch/{folder.name}, MODEL_ZOO.md": (folder / "MODEL_ZOO.md").read_text(
            "utf-8"
        )
        for folder in (checkout, detectron2)
    }
    models = (  # file, variant, stride in the 1x1, norm, remark
        ("MSRA/R-50.pkl", "resnet50", True, "affine", ""),
        ("MSRA/R-101.pkl", "resnet101", True, "affine", ""),
        ("FBResNeXt/X-101-64x4d.pkl", "resnext101_64x4d", False, "affine", _COPY_OF_AUTHORS),
        ("20171220/X-101-32x8d.pkl", "resnext101_32x8d", False, "affine", ""),
        ("25093814/X-152-32x8d-IN5k.pkl", "resnext152_32x8d", False, "affine", "ImageNet-5k"),
        ("47261647/R-50-GN.pkl", "resnet50", False, "GN", "GroupNorm"),
        ("47592356/R-101-GN.pkl", "resnet101", False, "GN", "GroupNorm"),
    )
    entries = []
    for file, variant, stride_in_1x1, norm, remark in models:
        address = f"{_DETECTRON}/{file}"
        page = next(name for name, text in pages.items() if address in text)
        assert "licenses/by-sa/3.0/" in pages[page]
        folded = "BatchNorm folded: FrozenBN alone" if norm == "affine" else ""
        entries.append(
            make_entry(
                variant=checked(variant),
                spec=address,
                origin="detectron",
                address=address,
                num_classes=None,
                convention=MSRA if stride_in_1x1 else BGR_UNSCALED,
                norm=norm,
                licence=_BY_SA,
                licence_source=page,
                remark="; ".join(part for part in (remark, folded) if part),
            )
        )
    return entries
