"""Tables of AP under acceleration, in Markdown. Engine-neutral."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnext_det.reports.page_tables import pipe_table

RESULTS = Path(__file__).parent / "results" / "accuracy"


def accuracy_tables() -> dict[str, str]:
    """Returns the name of each table on the page -> Markdown; `accuracy_cpu` for one."""
    found: dict[str, str] = {}
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text())
        hardware, torch = result["hardware"], result["versions"]["torch"]
        where = hardware.get("gpu") or f"{hardware['cpu']}, {result['threads']} threads"
        images = f"{result['num_images']:,} images; {where}; torch {torch}"
        command = f"    {result['command']}\n"
        found[f"accuracy_{path.stem}"] = f"{images}:\n\n{command}\n{accuracy_table(result)}"
    return found


def accuracy_table(result: Mapping[str, Any]) -> str:
    """Returns a line for each detector and setting, in percent of AP."""
    head = ["Detector", "Setting", "AP, exact", "AP", "difference (95 %)", "of AP50", "of AP75"]
    lines = [head, ["---", "---", *["---:"] * 5]]
    for row in result["rows"]:
        by_metric = {one["metric"]: one for one in row["differences"]}
        lines.append(
            [
                row["detector"],
                row["setting"],
                f"{row['ap']['exact']['AP']:.2f}",
                f"{row['ap']['setting']['AP']:.2f}",
                *(_difference(by_metric[metric]) for metric in ("AP", "AP50", "AP75")),
            ]
        )
    return pipe_table(lines)


def _difference(one: Mapping[str, float]) -> str:
    return f"{one['value']:+.3f} ({one['low']:+.3f} … {one['high']:+.3f})"
