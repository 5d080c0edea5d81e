#!/usr/bin/env python
"""README.md's tables from results/*.json and the folders below results/. Engine-neutral.

python projects/SpeedComparison/tables.py            prints them
python projects/SpeedComparison/tables.py --write    puts them into README.md
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from projects.SpeedComparison.accuracy_tables import accuracy_tables
from projects.SpeedComparison.detector_tables import detector_tables
from resnext_det.reports.page_tables import pipe_table, run_tables_command

FOLDER = Path(__file__).parent
HEAD = ("Net", "Norm", "What", "Mode", "ATen operations", "Python calls")
CLOCKS = {"cpu": "CPU time", "wall": "Clock"}


def tables() -> dict[str, str]:
    """Returns the name of each table on the page -> Markdown."""
    paths = sorted((FOLDER / "results").glob("*.json"))
    own = {path.stem: table(json.loads(path.read_text())) for path in paths}
    return own | detector_tables() | accuracy_tables()


def table(result: Mapping[str, Any]) -> str:
    """Returns one line for each case: ours against Detectron2's, with the spread of the latter."""
    clocks = [clock for clock in CLOCKS if clock in result["rows"][0]["clocks"]]
    head = [*HEAD, "Detectron2 (ms)"]
    for clock in clocks:
        head += [f"{CLOCKS[clock]}: ours / theirs", "spread", ""]
    lines = [head, ["---"] * 4 + ["---:"] * 3 + ["---:", "---:", "---"] * len(clocks)]
    lines += [_line(row, clocks) for row in result["rows"]]
    return pipe_table(lines)


def _line(row: Mapping[str, Any], clocks: list[str]) -> list[str]:
    operations, calls = row["operations"], row["python_calls"]
    parts = [
        row["net"],
        row["norm"],
        row["what"],
        row["mode"],
        f"{operations['ours']:,} / {operations['theirs']:,}",
        f"{calls['ours']:,} / {calls['theirs']:,}",
        f"{1000 * row['clocks'][clocks[0]]['seconds']['theirs']:.0f}",
    ]
    for clock in clocks:
        found = row["clocks"][clock]
        own = found["ours/theirs"]
        interval = f"{own['median']:.3f} ({own['low']:.3f}–{own['high']:.3f})"
        parts += [interval, f"±{found['spread']:.1%}", found["verdict"]]
    return parts


if __name__ == "__main__":
    sys.exit(run_tables_command(FOLDER / "README.md", tables, "results/*.json"))
