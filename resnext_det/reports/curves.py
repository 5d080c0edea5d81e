"""Loss and AP over iterations as SVG, from each run's metrics.json. Engine-neutral."""

import io
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError

# Okabe and Ito's colours: told apart by colour-blind readers, on light and on dark ground.
_COLORS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
_STYLES = ("-", "-", "--", "--", ":", ":")
# Drawn in this colour, then replaced by the page's own text colour.
_INK = "#010203"


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Reads a run's metrics.json, one JSON object per line.

    A last line that an interrupt cut short is left out; so is what a resumed run
    overtook: of several lines of one iteration the last counts.

    Args:
        run: the output folder.

    Returns:
        The lines in the order of their iteration; empty where there is no file yet.

    Raises:
        UserError: a line before the last is not a JSON object with an iteration.
    """
    path = run / "metrics.json"
    lines = path.read_text().splitlines() if path.exists() else []
    merged: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            merged.setdefault(int(entry["iteration"]), {}).update(entry)
        except (ValueError, TypeError, KeyError) as error:
            if number < len(lines):
                raise UserError(
                    f"{path}: line {number} is not a metrics line ({error!r})"
                ) from None
    return [merged[iteration] for iteration in sorted(merged)]


def series(run: Path, key: str) -> tuple[list[int], list[float]]:
    """Returns the iterations (counted from 1) and values at which a run wrote `key`."""
    entries = [entry for entry in read_metrics(run) if _is_number(entry.get(key))]
    return [entry["iteration"] + 1 for entry in entries], [float(entry[key]) for entry in entries]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def curves_svg(
    runs: Mapping[str, Path], key: str, *, ylabel: str, from_zero: bool = True
) -> str | None:
    """Draws one curve per run.

    Args:
        runs: legend label -> output folder.
        key: entry of metrics.json, for example "total_loss" or "bbox/AP50".
        ylabel: name of the vertical axis.
        from_zero: whether the vertical axis starts at 0.

    Returns:
        An <svg> element whose text takes the page's colour, or None where no run wrote `key`.
    """
    data = {label: series(run, key) for label, run in runs.items()}
    if not any(iterations for iterations, _ in data.values()):
        return None
    # Import here: matplotlib takes a second, and only pages need it.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and scaled
        "svg.hashsalt": f"{key} {ylabel}",  # ids that are the same each time and differ per figure
        "text.parse_math": False,
        "font.size": 11,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), _INK),
        **dict.fromkeys(("xtick.color", "ytick.color"), _INK),
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        axes = figure.subplots()
        for index, (label, (iterations, values)) in enumerate(data.items()):
            style: dict[str, Any] = {
                "color": _COLORS[index % 6],
                "linestyle": _STYLES[index % 6],
            }
            marker = "o" if len(values) <= 12 else None
            axes.plot(iterations, values, label=label, linewidth=2, marker=marker, **style)
        axes.set(xlabel="iteration", ylabel=ylabel)
        axes.set_xlim(left=0)
        if from_zero:
            axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _inline(file.getvalue())


def _inline(document: str) -> str:
    """Cuts a stand-alone SVG document down to an element that scales with the page."""
    tag, rest = document[document.index("<svg") :].split(">", 1)
    tag = re.sub(r'\s(width|height|version|xmlns(:xlink)?)="[^"]*"', "", tag)
    svg = tag + ">" + re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.DOTALL)
    return svg.replace(_INK, "currentColor").strip()
