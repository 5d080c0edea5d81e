"""README.md's tables, made from the result JSON kept in the repository. Engine-neutral.

python -m tools.readme_tables            prints them
python -m tools.readme_tables --write    puts them into README.md
"""

import json
import sys
from pathlib import Path
from typing import Any

from projects.BloodCells.tables import tables as blood_cells_tables
from resnext_det.reports.page_tables import run_tables_command
from resnext_det.reports.study import read_study
from resnext_det.reports.table import MISSING, markdown_table

REPOSITORY = Path(__file__).resolve().parents[1]
QUICKSTART = REPOSITORY / "projects" / "Quickstart" / "results" / "result.json"
PARITY = REPOSITORY / "tests" / "golden" / "parity.json"
BLOOD_CELLS = ("fine-tuned", "same start")
FULL_SIZE = ("R_50", "X_50_32x4d")


def readme_tables() -> dict[str, str]:
    """Returns table name -> Markdown, for each `<!-- NAME -->` of README.md."""
    blood_cells = blood_cells_tables()
    found = {f"blood cells, {name}": blood_cells[name] for name in BLOOD_CELLS}
    found["quickstart"] = markdown_table(read_study(QUICKSTART).rows)
    found["parity"] = parity_table(json.loads(PARITY.read_text()))
    return found


def parity_table(content: dict[str, Any]) -> str:
    """Returns the largest difference between the engines, a line for each thing compared."""
    lines = [
        "| compared | held to | ResNet-50, ResNeXt-50 | small nets |",
        "|---|--:|--:|--:|",
    ]
    for row in content["rows"]:
        full = [value for net, value in row["largest"].items() if net in FULL_SIZE]
        small = [value for net, value in row["largest"].items() if net not in FULL_SIZE]
        what = f"{row['what']} ({row['unit']})"
        lines.append(f"| {what} | {row['tolerance']:g} | {_largest(full)} | {_largest(small)} |")
    return "\n".join(lines)


def _largest(values: list[float]) -> str:
    return f"{max(values):.2g}" if values else MISSING


if __name__ == "__main__":
    sys.exit(run_tables_command(REPOSITORY / "README.md", readme_tables, "result JSON"))
