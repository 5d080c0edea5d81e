"""Tables of whole detectors and of the roofline, in Markdown. Engine-neutral."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnext_det.reports.page_tables import pipe_table

RESULTS = Path(__file__).parent / "results" / "detectors"
MODES = {"inference": "One forward pass", "training": "One training step"}


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
    head = ["What", "Images", "Who", "ms", "times as fast as Detectron2", "by processor time"]
    head += ["share of the bound", "boxes or losses beside Detectron2's"]
    lines = [head, ["---", "---:", "---", *["---:"] * 4, "---"]]
    for mode, what in MODES.items():
        for case in result.get(mode, ()):
            for name, times in case["clocks"]["wall"].items():
                processor = case["clocks"].get("cpu", {}).get(name, {})
                lines.append(
                    [
                        what,
                        str(case["batch"]),
                        name,
                        f"{1000 * times['seconds']['median']:.1f}",
                        interval(times["speed"]),
                        interval(processor.get("speed")),
                        _percent(times.get("share_of_bound")),
                        _likeness(case, name),
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


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _likeness(case: Mapping[str, Any], name: str) -> str:
    """Says how near what was computed comes to what is computed by Detectron2."""
    if name in case.get("boxes", {}):
        found = case["boxes"][name]
        if found["share"] is None:
            return "none found"
        pixels, score = found["pixels"][1], found["score"][1]
        return f"{found['matched']} of {found['boxes']}, to {pixels:.2g} px and {score:.2g}"
    losses = case.get("losses", {})
    if name not in losses:
        return ""
    against = next(iter(losses.values()))
    total = sum(against.values())
    return f"sum of losses {sum(losses[name].values()) / total - 1:+.4%}"
