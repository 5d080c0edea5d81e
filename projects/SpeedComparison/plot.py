#!/usr/bin/env python
"""Pictures of results/detectors/*.json, beside them. Engine-neutral.

python projects/SpeedComparison/plot.py            writes an SVG for each
"""

import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from projects.SpeedComparison.detector_tables import RESULTS

_COLORS = {"Detectron2": "#8c8c8c", "exact": "#7fb3d5", "float32": "#2471a3", "bfloat16": "#d35400"}
_COLORS |= {"float16": "#7d3c98"}
_INK = "#202020"


def main() -> int:
    """Draws every results file."""
    for path in sorted(RESULTS.glob("*.json")):
        draw(json.loads(path.read_text()), path.with_suffix(".svg"))
    return 0


def draw(result: Mapping[str, Any], target: Path) -> None:
    """Draws the milliseconds of an image: a bar for each contestant, the bound as a line on it.

    Args:
        result: of `projects.SpeedComparison.detectors`.
        target: an SVG or PNG file.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    cases = result["inference"]
    heights = [1.0 + 0.5 * len(case["clocks"]["wall"]) for case in cases]
    with mpl.rc_context({"svg.hashsalt": target.name, "font.size": 10}):
        figure = Figure(figsize=(9, sum(heights)), layout="constrained")
        panels = figure.subplots(len(cases), squeeze=False, height_ratios=heights)[:, 0]
        for axes, case in zip(panels, cases, strict=True):
            _draw_case(axes, case)
        figure.savefig(
            target, facecolor="white", metadata={"Date": None} if _is_svg(target) else {}
        )


def _is_svg(target: Path) -> bool:
    return target.suffix == ".svg"


def _draw_case(axes: Any, case: Mapping[str, Any]) -> None:
    found = case["clocks"]["wall"]
    batch, longest = case["batch"], max(t["seconds"]["high"] for t in found.values())
    scale = 1000 / batch
    for place, (name, times) in enumerate(found.items()):
        seconds = times["seconds"]
        median = scale * seconds["median"]
        ends = [
            [scale * (seconds["median"] - seconds["low"])],
            [scale * (seconds["high"] - seconds["median"])],
        ]
        axes.barh(place, median, xerr=ends, color=_color(name), ecolor=_INK, height=0.7)
        label = f"{median:.0f} ms" if median >= 10 else f"{median:.1f} ms"
        if times["speed"] and place:
            label += f", {times['speed']['median']:.2f} times as fast"
        least = times["share_of_bound"] * median
        axes.annotate(
            label,
            (max(scale * seconds["high"], least), place),
            (5, 0),
            va="center",
            textcoords="offset points",
            color=_INK,
        )
        axes.vlines(least, place - 0.35, place + 0.35, color=_INK, linewidth=2)
    axes.set_yticks(range(len(found)), [_wrapped(name) for name in found])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.7 * scale * longest)
    axes.spines[["top", "right"]].set_visible(False)
    images = "1 image" if batch == 1 else f"{batch} images"
    axes.set_title(f"One forward pass of {images}", loc="left", fontsize=10)
    axes.set_xlabel("ms an image; upright lines: the least that its convolutions can take")


def _color(name: str) -> str:
    return next(color for word, color in _COLORS.items() if word in name)


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(name, 34, break_long_words=False))


if __name__ == "__main__":
    sys.exit(main())
