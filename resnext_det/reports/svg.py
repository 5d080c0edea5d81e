"""Figures as SVG elements that take the page's colours. Engine-neutral."""

import io
import re
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

# Drawn in these colours, then replaced by the page's: each is a custom property of report.css,
# light and dark.
INK = "#010203"
SERIES = tuple(f"#0{number}0f0{number}" for number in range(1, 7))
_STYLES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D", "v", "P")
WIDTH = 5.2  # inches: text of 11 points keeps 10 pixels on a phone


def line_style(index: int) -> dict[str, Any]:
    """Returns matplotlib's colour and line style of a figure's line, six of one style each."""
    return {"color": color(index), "linestyle": _STYLES[index // len(SERIES) % len(_STYLES)]}


def color(index: int) -> str:
    """Returns the colour of a figure's line or dot."""
    return SERIES[index % len(SERIES)]


def marker(index: int) -> str:
    """Returns the shape of a figure's dots: told apart where colours are not."""
    return _MARKERS[index % len(_MARKERS)]


def figure_svg(draw: Callable[[Any, Any], None], *, salt: str, height: float = 3.6) -> Markup:
    """Draws one figure.

    Args:
        draw: is given the figure and its axes.
        salt: what makes the figure's ids differ from another's on the page.
        height: in inches; the width is `WIDTH`.

    Returns:
        An <svg> element that is as wide as its place, the same every time.
    """
    # Import here: matplotlib takes a second, and only pages need it.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and scaled
        "svg.hashsalt": salt,
        "text.parse_math": False,
        "axes.unicode_minus": True,
        "font.size": 11,
        "legend.fontsize": 10,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), INK),
        **dict.fromkeys(("xtick.color", "ytick.color", "grid.color"), INK),
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        draw(figure, axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    # Safe to mark: matplotlib wrote the element and escaped every label in it.
    return Markup(_inline(file.getvalue()))


def legend_above(figure: Any, axes: Any) -> None:
    """Puts the legend above the axes, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    columns = 2 if max(map(len, labels), default=0) <= 22 else 1
    figure.legend(
        handles, labels, loc="outside upper left", ncols=columns, frameon=False, handlelength=2.4
    )


def shortened(text: str, length: int = 26) -> str:
    """Returns a label that leaves the axes room: long ones without their middle."""
    if len(text) <= length:
        return text
    tail = length // 3
    return f"{text[: length - tail - 1].rstrip()}…{text[-tail:].lstrip()}"


def _inline(document: str) -> str:
    """Cuts a stand-alone SVG document down to an element that scales with the page."""
    tag, rest = document[document.index("<svg") :].split(">", 1)
    tag = re.sub(r'\s(width|height|version|xmlns(:xlink)?)="[^"]*"', "", tag)
    svg = tag + ">" + re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.DOTALL)
    # Every figure's groups have the same ids, which a page may have once; nothing refers to them.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = svg.replace("xlink:href", "href").replace(INK, "currentColor")
    for number, placeholder in enumerate(SERIES, start=1):
        svg = svg.replace(placeholder, f"var(--series-{number})")
    return svg.strip()
