#!/usr/bin/env python
"""README.md's tables from results/*.json. Engine-neutral.

python projects/TrainingSpeed/tables.py            prints them
python projects/TrainingSpeed/tables.py --write    puts them into README.md
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from projects.TrainingSpeed.measure import Comparison
from projects.TrainingSpeed.profiling import KINDS
from resnext_det.reports.page_tables import pipe_table, run_tables_command

FOLDER = Path(__file__).parent
CLOCKS = {"cpu": "CPU time", "wall": "clock"}
MISSING = "–"


def tables() -> dict[str, str]:
    """Returns "FILE PART" -> Markdown."""
    found = {}
    for path in sorted((FOLDER / "results").glob("*.json")):
        parts = tables_of(json.loads(path.read_text()))
        found |= {f"{path.stem} {part}": table for part, table in parts.items()}
    for path in sorted((FOLDER / "results" / "detectors").glob("*.json")):
        found[f"detectors {path.stem}"] = detectors_table(json.loads(path.read_text()))
    return found


def tables_of(result: Mapping[str, Any]) -> dict[str, str]:
    """Returns a table for each part of one results file."""
    found = {}
    for part in ("alone", "others_plain", "others_tuned"):
        if part in result:
            found[part] = comparison_table(result[part])
    if "together" in result:
        found["together"] = together_table(result["together"])
    if "profile" in result:
        found["profile"] = profile_table(result["profile"])
    return found


def comparison_table(comparison: Comparison) -> str:
    """Returns a line for each contestant: images/s, and its speed by that of one of them."""
    clocks = [clock for clock in CLOCKS if clock in comparison["clocks"]]
    lines = [_head("", clocks)]
    lines += [["---"] + ["---:", "---:"] * len(clocks)]
    for name in comparison["contestants"]:
        lines.append([name, *_numbers(comparison, name, clocks)])
    return pipe_table(lines)


def together_table(comparisons: list[Comparison]) -> str:
    """Returns a line for each option: the speed it gives to those that were kept before it."""
    clocks = [clock for clock in CLOCKS if any(clock in c["clocks"] for c in comparisons)]
    lines = [[*_head("Option", clocks), "kept"], ["---"] + ["---:", "---:"] * len(clocks) + ["---"]]
    for comparison in comparisons:
        name = list(comparison["contestants"])[-1]
        kept = "yes" if comparison["kept"] else "no"
        lines.append([name, *_numbers(comparison, name, clocks), kept])
    return pipe_table(lines)


def profile_table(profile: Mapping[str, Mapping[str, float]]) -> str:
    """Returns a line for each contestant: milliseconds of one step, and the shares of each kind."""
    lines = [["One step of", "ms", *KINDS], ["---"] + ["---:"] * (1 + len(KINDS))]
    for name, found in profile.items():
        total = sum(found.values())
        shares = [f"{found[kind] / total:.1%}" for kind in KINDS]
        lines.append([name, f"{1000 * total:.0f}", *shares])
    return pipe_table(lines)


def detectors_table(result: Mapping[str, Any]) -> str:
    """Returns a line for each detector: seconds of a step, speed, and how far its losses lie.

    Losses: of the first and the last update that were compared, from Detectron2's, as a share.
    """
    clocks = [clock for clock in CLOCKS if clock in result["clocks"]]
    apart, memory = result.get("apart", {}), result["peak_mib"]
    head = ["", *(cell for clock in clocks for cell in (f"s, {CLOCKS[clock]}", "speed (95 %)"))]
    head += ["loss apart, first", "last"] + ["peak MiB"] * bool(memory)
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)]
    names = [n for n in [*apart, *result["clocks"]["wall"]] if n not in result["skipped"]]
    for name in sorted(set(names), key=_detector_order(result)):
        cells = [name]
        for clock in clocks:
            found = result["clocks"][clock].get(name)
            speed = "{median:.2f} ({low:.2f}–{high:.2f})"
            cells += (
                [f"{found['seconds']['median']:.3g}", speed.format_map(found["speed"])]
                if found
                else [MISSING, MISSING]
            )
        shares = apart.get(name, [])
        cells += [f"{shares[0]:.0e}", f"{shares[-1]:.0e}"] if shares else [MISSING, MISSING]
        cells += [f"{memory[name]:.0f}" if name in memory else MISSING] * bool(memory)
        lines.append(cells)
    return pipe_table(lines)


def _detector_order(result: Mapping[str, Any]) -> Callable[[str], tuple[int, str]]:
    timed = list(result["clocks"]["wall"])
    return lambda name: (timed.index(name) if name in timed else 0, name)


def _head(first: str, clocks: list[str]) -> list[str]:
    head = [first]
    for clock in clocks:
        head += [f"images/s, {CLOCKS[clock]}", "speed (95 %)"]
    return head


def _numbers(comparison: Comparison, name: str, clocks: list[str]) -> list[str]:
    cells = []
    for clock in clocks:
        found = comparison["clocks"].get(clock, {}).get(name)
        if found is None:
            cells += [comparison["skipped"].get(name, MISSING), MISSING]
            continue
        images = "{median:.2f} ({low:.2f}–{high:.2f})".format_map(found["images_per_second"])
        speed = found["speed"]
        cells += [
            images,
            "{median:.3f} ({low:.3f}–{high:.3f})".format_map(speed) if speed else MISSING,
        ]
    return cells


if __name__ == "__main__":
    sys.exit(run_tables_command(FOLDER / "README.md", tables, "results/*.json"))
