"""Counts of several sets as bars side by side, as SVG. Engine-neutral."""

from collections.abc import Mapping, Sequence
from typing import Any

from resnext_det.reports.page_figures import Figure
from resnext_det.reports.svg import color, figure_svg, legend_above, shortened

_LINES = 30  # bars' names in one figure
_FRAME = 1.1  # inches of axis, label and legend


def bars(
    counts: Mapping[str, Mapping[str, int]], caption: str, *, unit: str, salt: str
) -> list[Figure]:
    """Draws, for each name, a bar per set: percent of the set's total.

    Args:
        counts: set -> name -> count; the names of all sets, in the order of the first one's.
        caption: of the figure.
        unit: what is counted, as "boxes".
        salt: tells these figures from others of the page.

    Returns:
        Figures, several where there are many names; none where nothing is counted.
    """
    sets = {name: values for name, values in counts.items() if sum(values.values())}
    names = list(dict.fromkeys(name for values in sets.values() for name in values))
    if not names:
        return []
    shares = {name: _percent(values) for name, values in sets.items()}
    most = max(max(values.values()) for values in shares.values())
    parts = [names[start : start + _LINES] for start in range(0, len(names), _LINES)]
    figures = []
    for number, part in enumerate(parts):
        svg = figure_svg(
            lambda figure, axes, part=part: _draw(figure, axes, shares, part, most, unit),
            salt=f"{salt} {number}",
            height=_FRAME + 0.1 * len(shares) + len(part) * (0.14 + 0.1 * len(shares)),
        )
        end = f", {number + 1} of {len(parts)}" if len(parts) > 1 else ""
        figures.append(Figure(svg, f"{caption}{end}"))
    return figures


def _percent(values: Mapping[str, int]) -> dict[str, float]:
    total = sum(values.values())
    return {name: 100.0 * value / total for name, value in values.items()}


def _draw(
    figure: Any,
    axes: Any,
    shares: Mapping[str, Mapping[str, float]],
    names: Sequence[str],
    most: float,
    unit: str,
) -> None:
    step = 0.8 / len(shares)
    for index, (label, values) in enumerate(shares.items()):
        offset = (index - (len(shares) - 1) / 2) * step
        places = [place + offset for place in range(len(names))]
        widths = [values.get(name, 0.0) for name in names]
        axes.barh(places, widths, 0.9 * step, color=color(index), label=shortened(label))
    axes.set_yticks(range(len(names)), [shortened(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1.05 * most or 1.0)
    axes.set_xlabel(f"percent of the set’s {unit}")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.15)
    if len(shares) > 1:
        legend_above(figure, axes)
