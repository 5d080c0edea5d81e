#!/usr/bin/env python
"""README.md's tables from results/*.json. Engine-neutral.

python projects/InputSpeed/tables.py            prints them
python projects/InputSpeed/tables.py --write    puts them into README.md
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from projects.InputSpeed.contestants import NAMES
from resnext_det.reports.page_tables import pipe_table, run_tables_command

FOLDER = Path(__file__).parent
CLOCKS = {"cpu": "CPU time", "wall": "clock"}


def tables() -> dict[str, str]:
    """Returns "FILE speed" and "FILE pixels" -> Markdown."""
    found = {}
    for path in sorted((FOLDER / "results").glob("*.json")):
        result = json.loads(path.read_text())
        found[f"{path.stem} speed"] = speed_table(result)
        found[f"{path.stem} pixels"] = pixel_table(result)
    return found


def speed_table(result: Mapping[str, Any]) -> str:
    """Returns a line for each view, number of workers and pipeline."""
    head = ["View", "Workers", "Pipeline"]
    for clock in CLOCKS.values():
        head += [f"images/s, {clock}", "speed (95 %)"]
    lines = [head, ["---", "---:", "---"] + ["---:"] * 2 * len(CLOCKS)]
    for row in result["rows"]:
        lines += [_line(row, name) for name in NAMES]
    return pipe_table(lines)


def _line(row: Mapping[str, Any], name: str) -> list[str]:
    cells = [row["view"], str(row["workers"]), name]
    for clock in CLOCKS:
        found = row["clocks"][clock][name]
        cells.append(f"{found['images_per_second']['median']:.0f}")
        cells.append("{median:.2f} ({low:.2f}–{high:.2f})".format_map(found["speed"]))
    return cells


def pixel_table(result: Mapping[str, Any]) -> str:
    """Returns a line for each filter and view: how far the fast pixels are from the exact ones."""
    lines = [["Filter", "View", "largest", "mean", "same"], ["---", "---", "---:", "---:", "---:"]]
    for found in result["differences"]:
        for view in ("train", "test"):
            off = found[view]
            numbers = [str(off["largest"]), f"{off['mean']:.4f}", f"{off['same']:.2%}"]
            lines.append([found["interpolation"], view, *numbers])
    return pipe_table(lines)


if __name__ == "__main__":
    sys.exit(run_tables_command(FOLDER / "README.md", tables, "results/*.json"))
