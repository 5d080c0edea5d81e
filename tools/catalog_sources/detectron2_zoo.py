"""Detectron2's ImageNet models and its detectors, as its MODEL_ZOO.md says. Engine-neutral."""

import re
from pathlib import Path

from resnext_det.weights.catalog import CatalogEntry
from resnext_det.weights.convention import Convention
from tools.catalog_sources.entries import BGR, MSRA, RGB, checked, make_entry

_PREFIX = "https://dl.fbaipublicfiles.com/detectron2/"
_LICENCE = "CC-BY-SA-3.0"
_SOURCE = "facebookresearch/detectron2, MODEL_ZOO.md"
_CONFIGS = Path(__file__).resolve().parents[2] / "configs"
_FIGURES = {  # heading of a column, without marks -> name of the figure
    "boxAP": "AP",
    "maskAP": "mask_AP",
    "kp.AP": "keypoint_AP",
    "PQ": "PQ",
    "prop.AR": "AR",
}
# Backbone in a config's name -> variant, convention. Source: the zoo's Base-*.yaml and the
# PIXEL_STD and STRIDE_IN_1X1 of its X_101_32x8d configs.
_BACKBONES = {
    "R_50": ("resnet50", MSRA),
    "R_101": ("resnet101", MSRA),
    "X_101_32x8d": ("resnext101_32x8d", BGR),
}


def detectron2_entries(checkout: Path) -> list[CatalogEntry]:
    """Returns its ImageNet models, and the detectors of its zoo that have a config here."""
    text = (checkout / "MODEL_ZOO.md").read_text(encoding="utf-8")
    assert "licenses/by-sa/3.0/" in text
    return [*_imagenet_entries(text), *_zoo_entries(text)]


def _imagenet_entries(text: str) -> list[CatalogEntry]:
    models: tuple[tuple[str, str, Convention, str], ...] = (
        ("MSRA/R-50.pkl", "resnet50", MSRA, "MSRA's"),
        ("MSRA/R-101.pkl", "resnet101", MSRA, "MSRA's"),
        ("FAIR/X-101-32x8d.pkl", "resnext101_32x8d", BGR, ""),
        # The settings are those of tools/convert-torchvision-to-d2.py.
        ("torchvision/R-50.pkl", "resnet50", RGB, "torchvision's"),
    )
    entries = []
    for file, variant, convention, remark in models:
        path = f"ImageNetPretrained/{file}"
        assert _PREFIX + path in text, path
        entries.append(
            make_entry(
                variant=checked(variant),
                spec=f"detectron2://{path}",
                origin="detectron2",
                address=_PREFIX + path,
                num_classes=None,
                convention=convention,
                licence=_LICENCE,
                licence_source=_SOURCE,
                remark=remark,
            )
        )
    return entries


def _zoo_entries(text: str) -> list[CatalogEntry]:
    entries = []
    for table in re.findall(r"<table>.*?</table>", text, re.DOTALL):
        heading = re.findall(r"<th[^>]*>(.*?)</th>", table, re.DOTALL)
        titles = [re.sub(r"<[^>]*>|\s", "", cell) for cell in heading]
        for row in re.findall(r"<tr><td.*?</tr>", table, re.DOTALL):
            entry = _zoo_entry(titles, row)
            if entry:
                entries.append(entry)
    return entries


def _zoo_entry(titles: list[str], row: str) -> CatalogEntry | None:
    config = re.search(r'href="configs/(\S+?)\.yaml"', row)
    address = re.search(rf'href="({re.escape(_PREFIX)}\S+?\.pkl)"', row)
    if not config or not address or not (_CONFIGS / f"{config[1]}.yaml").is_file():
        return None
    backbone = next(name for name in sorted(_BACKBONES, reverse=True) if name in config[1])
    variant, convention = _BACKBONES[backbone]
    cells = [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
    figures = {
        _FIGURES[title]: float(cell)
        for title, cell in zip(titles, cells, strict=True)
        if title in _FIGURES and re.fullmatch(r"[\d.]+", cell)
    }
    prefix = re.search(r"_([0-9a-f]{6})\.pkl$", address[1])
    assert prefix, address
    return make_entry(
        variant=checked(variant),
        spec=f"detectron2://{address[1].removeprefix(_PREFIX)}",
        task="detection",
        origin="detectron2",
        address=address[1],
        md5=prefix[1],
        num_classes=_num_classes(config[1]),
        convention=convention,
        accuracy=figures,
        accuracy_source=f"{_SOURCE}, {config[1].rpartition('/')[2]}",
        licence=_LICENCE,
        licence_source=_SOURCE,
        config=f"{config[1]}.yaml",
    )


def _num_classes(config: str) -> int | None:
    """COCO's things, its persons alone, or for a proposal network none."""
    if "/rpn_" in config:
        return None
    return 1 if "Keypoints" in config else 80
