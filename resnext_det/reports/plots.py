"""Dots with intervals, and precision over recall, as SVG. Engine-neutral."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from resnext_det.reports.metric_columns import metric_name
from resnext_det.reports.seeds import RowGroup
from resnext_det.reports.study_entries import PrecisionCurve, StudyDifference
from resnext_det.reports.svg import (
    INK,
    color,
    figure_svg,
    legend_above,
    line_style,
    marker,
    shortened,
)

_MAX_HEIGHT = 8.0  # inches of dots in one figure: what a printed page takes
_FRAME = 1.1  # inches of axis, label and legend


def differences_svg(differences: Sequence[StudyDifference], *, salt: str) -> list[Markup]:
    """Draws the differences of one pair: a dot, and both intervals as lines.

    Returns:
        <svg> elements, several where there are many metrics; none where nothing is defined.
    """
    shown = [d for d in differences if d.value is not None]
    several = any(d.t_low is not None for d in shown)
    rows = _parts(shown, 0.36 if several else 0.3)
    lines = [_difference_lines(d, index) for d in shown for index in (0, 1)]
    ends = [end for line in lines for end in line[1:]] + [0.0]
    margin = 0.05 * (max(ends) - min(ends)) or 1.0
    limits = min(ends) - margin, max(ends) + margin  # the same in all parts
    return [
        figure_svg(
            lambda figure, axes, part=part: _draw_differences(figure, axes, part, limits),
            salt=f"differences {salt} {number}",
            height=_FRAME + len(part) * (0.36 if several else 0.3),
        )
        for number, part in enumerate(rows)
    ]


def _difference_lines(d: StudyDifference, index: int) -> tuple[float, ...]:
    ends = ((d.low, d.high), (d.t_low, d.t_high))[index]
    return (d.value or 0.0, *(end for end in ends if end is not None))


def _draw_differences(
    figure: Any, axes: Any, differences: Sequence[StudyDifference], limits: tuple[float, float]
) -> None:
    axes.axvline(0, color=INK, linewidth=1)
    named = set()
    for y, d in enumerate(differences):
        apart = 0.12 if None not in (d.low, d.t_low) else 0.0  # one alone lies on its point
        for ends, offset, index, words in (
            ((d.low, d.high), -apart, 0, d.drawn),
            ((d.t_low, d.t_high), apart, 1, "seeds alone"),
        ):
            if None in ends:
                continue
            label = None if words in named else f"{100 * d.confidence:g} %, {words}"
            named.add(words)
            style = {"color": color(index), "linewidth": 3 if index == 0 else 1.6}
            axes.plot(ends, [y + offset] * 2, label=label, solid_capstyle="butt", **style)
        axes.plot([d.value], [y], "o", color=INK, markersize=5)
    axes.set_xlim(limits)
    axes.set_xlabel("difference, percent points")
    _name_lines(axes, [metric_name(d.metric) for d in differences])
    if named:
        legend_above(figure, axes)


def spread_svg(
    groups: Sequence[RowGroup], metrics: Mapping[str, str], *, salt: str
) -> list[Markup]:
    """Draws metrics of every network: each seed a small dot, the mean a large one.

    Args:
        groups: the networks.
        metrics: key -> name, from top to bottom; one that no row has a value of is left out.
        salt: tells these figures from others of the page.

    Returns:
        <svg> elements, several where there are many metrics; none where there is no value.
    """
    shown = [key for key in metrics if any(group.metric(key).n for group in groups)]
    values = [row.metrics[key] for key in shown for g in groups for row in g.rows]
    most = max((value for value in values if value is not None), default=0.0)
    height = 0.13 * len(groups) + 0.14
    return [
        figure_svg(
            lambda figure, axes, part=part: _draw_spread(figure, axes, groups, part, metrics, most),
            salt=f"spread {salt} {number}",
            height=_FRAME + 0.1 * len(groups) + len(part) * height,
        )
        for number, part in enumerate(_parts(shown, height))
    ]


def _draw_spread(
    figure: Any,
    axes: Any,
    groups: Sequence[RowGroup],
    keys: Sequence[str],
    names: Mapping[str, str],
    most: float,
) -> None:
    step = 0.8 / max(1, len(groups))
    for index, group in enumerate(groups):
        offset = (index - (len(groups) - 1) / 2) * step
        means = [(group.metric(key).mean, y + offset) for y, key in enumerate(keys)]
        dots = [
            (row.metrics.get(key), y + offset) for y, key in enumerate(keys) for row in group.rows
        ]
        style = {"color": color(index), "linestyle": "none"}
        if len(group.rows) > 1:
            axes.plot(*_points(dots), marker=marker(index), markersize=3, alpha=0.55, **style)
        axes.plot(*_points(means), marker=marker(index), markersize=6, label=group.label, **style)
    for y in range(1, len(keys)):
        axes.axhline(y - 0.5, color=INK, alpha=0.1, linewidth=0.8)
    axes.set_xlim(0, 1.05 * most or 1.0)
    axes.set_xlabel("percent")
    _name_lines(axes, [names[key] for key in keys])
    legend_above(figure, axes)


def precision_svg(
    curves: Sequence[PrecisionCurve],
    label_of: Callable[[PrecisionCurve], str],
    *,
    salt: str,
) -> Markup:
    """Draws precision over recall, a line per network, with the band of its seeds."""

    def draw(figure: Any, axes: Any) -> None:
        for index, curve in enumerate(curves):
            recall = [100 * value for value in curve.recall]
            precision = [100 * value for value in curve.precision]
            axes.plot(recall, precision, label=label_of(curve), linewidth=2, **line_style(index))
            if curve.low and curve.high:
                ends = [[100 * v for v in side] for side in (curve.low, curve.high)]
                axes.fill_between(recall, *ends, alpha=0.2, linewidth=0, color=color(index))
        axes.set(xlabel="recall (%)", ylabel="precision (%)", xlim=(0, 100), ylim=(0, 102))
        axes.grid(alpha=0.15)
        legend_above(figure, axes)

    return figure_svg(draw, salt=f"precision {salt}", height=3.4 + 0.2 * len(curves))


def _parts(items: Sequence[Any], height: float) -> list[Sequence[Any]]:
    """Cuts lines of a height in inches into figures of about the same size."""
    if not items:
        return []
    number = -(-len(items) // max(1, int(_MAX_HEIGHT / height)))
    size = -(-len(items) // number)
    return [items[start : start + size] for start in range(0, len(items), size)]


def _points(pairs: Sequence[tuple[float | None, float]]) -> tuple[list[float], list[float]]:
    kept = [(x, y) for x, y in pairs if x is not None]
    return [x for x, _ in kept], [y for _, y in kept]


def _name_lines(axes: Any, names: Sequence[str]) -> None:
    """Names the lines of a figure, the first at the top."""
    axes.set_yticks(range(len(names)), [shortened(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", alpha=0.15)
