"""resnext_det/weights/catalog.json, made from what the projects publish. Engine-neutral.

    python -m tools.weights_catalog FOLDER

FOLDER holds a checkout of each repository, under its own name: pytorch-image-models, mmpretrain,
pycls, Detectron, detectron2, ResNeXt, fb.resnet.torch. torchvision and timm are read as installed.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from resnext_det.weights.catalog import CatalogEntry
from tools.catalog_sources import detectron2_zoo, libraries, projects

TARGET = Path(__file__).resolve().parents[1] / "resnext_det" / "weights" / "catalog.json"
REPOSITORIES = {
    "pytorch-image-models": "huggingface/pytorch-image-models",
    "mmpretrain": "open-mmlab/mmpretrain",
    "pycls": "facebookresearch/pycls",
    "Detectron": "facebookresearch/Detectron",
    "detectron2": "facebookresearch/detectron2",
    "ResNeXt": "facebookresearch/ResNeXt",
    "fb.resnet.torch": "facebookarchive/fb.resnet.torch",
}


def collect(folder: Path) -> list[CatalogEntry]:
    """Returns all entries, by variant and the most accurate first."""
    entries = [
        *libraries.torchvision_entries(),
        *libraries.timm_entries(folder / "pytorch-image-models/results/results-imagenet.csv"),
        *projects.mmpretrain_entries(folder / "mmpretrain"),
        *projects.pycls_entries(folder / "pycls"),
        *projects.authors_entries(folder / "ResNeXt", folder / "fb.resnet.torch"),
        *projects.detectron_entries(folder / "Detectron", folder / "detectron2"),
        *detectron2_zoo.detectron2_entries(folder / "detectron2"),
    ]
    # The zoo's page lists some detectors in several tables.
    return sorted({entry.spec: entry for entry in entries}.values(), key=_place)


def as_json(entries: Sequence[CatalogEntry], sources: dict[str, str]) -> dict[str, Any]:
    """Returns what is written: the entries, and which state of each source they are from."""
    return {"sources": sources, "entries": [asdict(entry) for entry in entries]}


def _place(entry: CatalogEntry) -> tuple[Any, ...]:
    figure = entry.accuracy.get("top1", entry.accuracy.get("AP", entry.accuracy.get("AR", 0.0)))
    return entry.variant, entry.task, -figure, entry.spec


def _states(folder: Path) -> dict[str, str]:
    states = {name: version(name).partition("+")[0] for name in ("torchvision", "timm")}
    for name, repository in REPOSITORIES.items():
        command = ["git", "-C", str(folder / name), "rev-parse", "HEAD"]
        states[repository] = subprocess.check_output(command, text=True).strip()
    return states


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0."""
    parser = argparse.ArgumentParser(description="Writes the catalogue of public weights.")
    parser.add_argument("folder", type=Path, help="holds the checkouts")
    folder = parser.parse_args(argv).folder
    entries = collect(folder)
    content = as_json(entries, _states(folder))
    TARGET.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{TARGET.name}: {len(entries)} entries")
    return 0


if __name__ == "__main__":
    sys.exit(main())
