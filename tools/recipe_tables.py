"""configs/README.md's tables of classifiers: a line for each network. Engine-neutral."""

import re
from collections.abc import Sequence
from pathlib import Path

from resnext_det.reports.page_tables import pipe_table
from resnext_det.reports.table import MISSING
from tools.config_headers import read_header, runnable
from tools.cost_lines import Cost, cost_of, rounded

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
    """Returns the table of a folder: a line for each network, a column for each recipe.

    Costs come last, one for each length of training; M40 hours only where there are any.
    """
    columns = [*RECIPE_FOLDERS[folder].values()]
    rows: dict[str, dict[str, Path]] = {}
    for path in runnable(folder):
        rows.setdefault(read_header(path).network, {})[recipe_of(path, folder)] = path
    lines = [["network", *columns, "CPU core-hours", "M40 GPU-hours"]]
    lines.append(["---"] * (1 + len(columns)) + ["--:"] * 2)
    for network, row in rows.items():
        cells = [_figure_cell(row[name], folder) if name in row else "" for name in columns]
        costs = [cost_of(row[name]) for name in columns if name in row]
        lines.append([network, *cells, *cost_cells(costs)])
    keep = None if any(line[-1] for line in lines[2:]) else -1
    return pipe_table(line[:keep] for line in lines).rstrip()


def cost_cells(costs: Sequence[Cost]) -> tuple[str, str]:
    """Returns core-hours and M40 hours, recipes of the same cost once: "13,800 / 25,600"."""
    cpu = dict.fromkeys(rounded(cost.cpu_hours) for cost in costs)
    m40 = dict.fromkeys(rounded(cost.m40_hours) for cost in costs if cost.m40_hours is not None)
    return " / ".join(cpu), " / ".join(m40)


def recipe_of(path: Path, folder: str) -> str:
    """Returns the recipe that a file's name says: "plain", "CIFAR-10" and so on."""
    ending = re.search(r"(_paper|_modern|_cifar\d+|)$", path.stem)
    assert ending, path
    return RECIPE_FOLDERS[folder][ending[1]]


def _figure_cell(path: Path, folder: str) -> str:
    header = read_header(path)
    link = f"[{header.figures or MISSING}]({folder}/{path.name})"
    return f"{link} {header.owner}".strip() if header.figures else link
