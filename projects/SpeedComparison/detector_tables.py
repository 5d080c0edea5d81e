"""Tables of whole detectors and of the roofline, in Markdown. Engine-neutral."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnext_det.reports.page_tables import pipe_table

RESULTS = Path(__file__).parent / "results" / "detectors"


def detector_tables() -> dict[str, str]:
    """Returns the name of each table on the page -> Markdown; `detectors_cpu` for one."""
    found: dict[str, str] = {}
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text())
        found[f"detectors_{path.stem}"] = conditions_line(result) + "\n" + speed_table(result)
        found[f"roofline_{path.stem}"] = roofline_table(result)
    return found


def conditions_line(result: Mapping[str, Any]) -> str:
    """Says what was run where, in a sentence."""
    hardware, versions = result["hardware"], result["versions"]
    where = hardware.get("gpu") or f"{hardware['cpu']}, {result['threads']} threads"
    load = result["load_average_at_the_end"][0]
    height, width = result["image"]
    weights = "a trained detector's weights" if result["trained"] else "drawn weights"
    return (
        f"Images of {height}x{width}, {weights}; {where}; torch {versions['torch']}; load average "
        f"at the end {load:.1f}:\n\n    {result['command']}\n"
    )


def speed_table(result: Mapping[str, Any]) -> str:
    """Returns a line for each contestant of each case, in the order of timing."""
    head = ["Images", "Who", "ms", "times as fast as Detectron2", "by processor time"]
    head += ["share of the bound", "boxes beside Detectron2's"]
    lines = [head, ["---:", "---", *["---:"] * 4, "---"]]
    for case in result["inference"]:
        for name, times in case["clocks"]["wall"].items():
            processor = case["clocks"].get("cpu", {}).get(name, {})
            lines.append(
                [
                    str(case["batch"]),
                    name,
                    f"{1000 * times['seconds']['median']:.1f}",
                    interval(times["speed"]),
                    interval(processor.get("speed")),
                    _percent(times["share_of_bound"]),
                    _likeness(case["boxes"][name]),
                ]
            )
    return pipe_table(lines)


def roofline_table(result: Mapping[str, Any]) -> str:
    """Returns a line for each number format: the peaks, and the least time of one image."""
    found = result["roofline"]
    head = ["Number format", "GFLOP", "GB", "measured TFLOP/s", "measured GB/s", "least ms"]
    lines = [head, ["---", *["---:"] * 5]]
    peaks = found["peaks"]
    for dtype, least in found["bound_seconds"].items():
        lines.append(
            [
                dtype,
                f"{found['flops'] / 1e9:.1f}",
                f"{found['bytes'][dtype] / 1e9:.2f}",
                f"{peaks['flops_per_second'][dtype] / 1e12:.3g}",
                f"{peaks['bytes_per_second'] / 1e9:.0f}",
                f"{1000 * least:.1f}",
            ]
        )
    return pipe_table(lines)


def interval(found: Mapping[str, float] | None) -> str:
    """Returns a median with its interval; a dash where there is none."""
    if found is None:
        return "–"
    return f"{found['median']:.2f} ({found['low']:.2f}–{found['high']:.2f})"


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _likeness(found: Mapping[str, Any]) -> str:
    """Says how near boxes come to those that Detectron2 finds."""
    if found["share"] is None:
        return "none found"
    pixels, score = found["pixels"][1], found["score"][1]
    return f"{found['matched']} of {found['boxes']}, to {pixels:.2g} px and {score:.2g}"
