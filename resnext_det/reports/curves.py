"""Loss and AP over iterations as SVG, a line per network. Engine-neutral."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from resnext_det.errors import UserError
from resnext_det.reports.seeds import RowGroup
from resnext_det.reports.study import CLASSIFICATION, Row
from resnext_det.reports.svg import figure_svg, legend_above, line_style

Points = tuple[Sequence[float], Sequence[float]]
"""Iterations counted from 1, and as many values."""


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Reads a run's metrics.json, one JSON object per line.

    A last line that an interrupt cut short is left out; so is what a resumed run
    overtook: of several lines of one iteration the last counts.

    Args:
        run: the output folder.

    Returns:
        The lines in the order of their iteration; empty where there is no file yet.

    Raises:
        UserError: it is no plain file, or a line before the last is no object with an iteration.
    """
    path = run / "metrics.json"
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: cannot be read (not a plain file)")
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []
    merged: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            merged.setdefault(int(entry["iteration"]), {}).update(entry)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
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


def row_curve(row: Row, part: str, key: str) -> Points:
    """Returns one curve of a row, without points where it has none.

    Args:
        row: of a study. Studies that hold their curves need no file; of older ones the runs'
            metrics.json is read.
        part: "classification" or "detection".
        key: entry of metrics.json, for example "total_loss" or "bbox/AP50".
    """
    if row.curves:
        return row.curves.get(part, {}).get(key, ((), ()))
    # A classifier's own row has the run itself, a detector's the run that came before it.
    run = row.run
    if part == CLASSIFICATION and "top1" not in row.metrics:
        run = row.pretraining_run
    return ((), ()) if run is None else series(run, key)


def group_curves(groups: Sequence[RowGroup], part: str, key: str) -> dict[str, list[Points]]:
    """Returns legend label -> each seed's curve, of the groups that have any.

    Detectors of one network that started from the same classifiers share those curves; they are
    drawn once.
    """
    found: dict[str, list[Points]] = {}
    drawn: list[tuple[str, list[Points]]] = []
    for group in groups:
        curves = [row_curve(row, part, key) for row in group.rows]
        curves = [curve for curve in curves if curve[0]]
        shared = part == CLASSIFICATION and (group.first.model, curves) in drawn
        if curves and not shared:
            drawn.append((group.first.model, curves))
            found[group.label] = curves
    return found


def curves_svg(
    curves: Mapping[str, Sequence[Points]],
    *,
    ylabel: str,
    from_zero: bool = True,
    salt: str = "",
) -> Markup | None:
    """Draws a line per label: the mean over its curves, and the band from lowest to highest.

    Args:
        curves: legend label -> curves, one of each seed.
        ylabel: name of the vertical axis.
        from_zero: whether the vertical axis starts at 0.
        salt: tells this figure from others of the page.

    Returns:
        An <svg> element, or None where no curve has a point.
    """
    bands = {label: band(found) for label, found in curves.items() if any(x for x, _ in found)}
    if not bands:
        return None

    def draw(figure: Any, axes: Any) -> None:
        for index, (label, (x, mean, low, high)) in enumerate(bands.items()):
            dots = "o" if len(x) <= 12 else None
            axes.plot(x, mean, label=label, linewidth=2, marker=dots, **line_style(index))
            if len(curves[label]) > 1:
                axes.fill_between(x, low, high, alpha=0.2, linewidth=0, **_fill(index))
        axes.set(xlabel="iteration", ylabel=ylabel)
        axes.set_xlim(left=0)
        if from_zero:
            axes.set_ylim(bottom=0)
        axes.grid(alpha=0.15)
        legend_above(figure, axes)

    return figure_svg(draw, salt=f"curves {salt} {ylabel}", height=3.4 + 0.2 * len(bands))


def band(curves: Sequence[Points]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns iterations and, of the curves at each, mean, lowest and highest, (N,) float64 each.

    Between its points a curve is straight. Only iterations that every curve spans are kept.
    """
    curves = [curve for curve in curves if curve[0]]
    x = np.unique(np.concatenate([np.asarray(x, np.float64) for x, _ in curves]))
    x = x[(x >= max(min(c[0]) for c in curves)) & (x <= min(max(c[0]) for c in curves))]
    values = np.stack([np.interp(x, *curve) for curve in curves])  # (seeds, N)
    return x, values.mean(axis=0), values.min(axis=0), values.max(axis=0)


def _fill(index: int) -> dict[str, Any]:
    return {"color": line_style(index)["color"]}
