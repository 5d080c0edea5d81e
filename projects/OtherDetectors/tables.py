#!/usr/bin/env python
"""README.md's table from results/*.json. Engine-neutral.

python projects/OtherDetectors/tables.py            prints it
python projects/OtherDetectors/tables.py --write    puts it into README.md
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resnext_det.reports.page_tables import pipe_table, run_tables_command

FOLDER = Path(__file__).parent
HEAD = ("Detector", "Run", "Updates", "Loss, first 20", "Loss, last 20", "AP50 on the four")


def tables() -> dict[str, str]:
    """Returns the one table by its name in README.md."""
    paths = sorted((FOLDER / "results").glob("*.json"))
    return {"results": table([json.loads(path.read_text()) for path in paths])}


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Returns one line for each run of each detector."""
    lines = [list(HEAD), ["---", "---", *["---:"] * 4]]
    for result in results:
        for name, run in result["runs"].items():
            losses = {int(iteration): loss for iteration, loss in run["losses"].items()}
            first, last = min(losses), max(losses)
            numbers = [f"{losses[first]:.1f}", f"{losses[last]:.1f}"]
            ap50 = run["AP50_on_the_training_images"]
            updates = run["keys"]["SOLVER.MAX_ITER"]
            lines.append([result["detector"], name, str(updates), *numbers, f"{ap50:.1f}"])
    return pipe_table(lines)


if __name__ == "__main__":
    sys.exit(run_tables_command(FOLDER / "README.md", tables, "results/*.json"))
