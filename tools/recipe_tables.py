"""configs/README.md's tables of classifiers: a line for each network. Engine-neutral."""

import re
from pathlib import Path

from resnext_det.reports.page_tables import pipe_table
from resnext_det.reports.table import MISSING
from tools.config_headers import read_header, runnable

# Folder -> a column for each recipe, by the end of the file's name.
RECIPE_FOLDERS = {
    "ImageNet-Classification": {"": "plain", "_paper": "paper", "_modern": "modern"},
    "ImageNet-5K": {"": "paper"},
    "CIFAR": {"_cifar10": "CIFAR-10", "_cifar100": "CIFAR-100"},
}


def recipe_tables() -> dict[str, str]:
    """Returns folder -> Markdown, for each `<!-- FOLDER -->` of configs/README.md."""
    return {folder: recipe_table(folder) for folder in RECIPE_FOLDERS}


def recipe_table(folder: str) -> str:
    """Returns the table of a folder: a line for each network, a column for each recipe."""
    columns = RECIPE_FOLDERS[folder]
    rows: dict[str, dict[str, str]] = {}
    for path in runnable(folder):
        row = rows.setdefault(read_header(path).network, {})
        row[recipe_of(path, folder)] = _figure_cell(path, folder)
    lines = [["network", *columns.values()], ["---"] * (1 + len(columns))]
    lines += [[net, *(row.get(name, "") for name in columns.values())] for net, row in rows.items()]
    return pipe_table(lines).rstrip()


def recipe_of(path: Path, folder: str) -> str:
    """Returns the recipe that a file's name says: "plain", "CIFAR-10" and so on."""
    ending = re.search(r"(_paper|_modern|_cifar\d+|)$", path.stem)
    assert ending, path
    return RECIPE_FOLDERS[folder][ending[1]]


def _figure_cell(path: Path, folder: str) -> str:
    header = read_header(path)
    link = f"[{header.figures or MISSING}]({folder}/{path.name})"
    return f"{link} {header.owner}".strip() if header.figures else link
