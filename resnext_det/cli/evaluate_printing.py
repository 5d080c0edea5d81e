"""What an evaluation says on the terminal. Engine-neutral."""

import math
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from resnext_det.analysis.analyse import CLASS_METRICS, Analysis
from resnext_det.analysis.comparing import Comparison
from resnext_det.analysis.coverage import coverage_note
from resnext_det.analysis.errors import KINDS, MEANINGS
from resnext_det.errors import one_line
from resnext_det.evaluation.coco_ap import METRICS
from resnext_det.statistics.sentences import signed

_SHOWN = 20  # classes; all are in the files
MISSING = "–"


def number(value: float | None, digits: int = 1) -> str:
    """Returns a number for people; – where it is not defined."""
    return MISSING if value is None or math.isnan(value) else f"{value:.{digits}f}"


def print_analysis(console: Console, found: Analysis) -> None:
    """Prints the metrics, the classes from the worst on, and the errors from the costliest on."""
    boxes = found.boxes
    say(
        console,
        f"{found.truth.num_images:,} images, {int(boxes.sought.sum()):,} objects of "
        f"{boxes.num_classes} classes, {found.num_detections:,} detections",
    )
    if note := coverage_note(boxes, found.results):
        say(console, note)
    console.print(_metrics_table(found))
    console.print(_errors_table(found))
    console.print(_classes_table(found))
    if found.overall is not None and found.overall.best is not None:
        best = found.overall.best
        say(
            console,
            f"Boxes scored from {best.threshold:.3f} on have the largest F1: {best.f1:.1f} % "
            f"(precision {best.precision:.1f} %, recall {best.recall:.1f} %), chosen on these "
            "images themselves.",
        )
    say(
        console,
        f"Scores differ from the share that is right by {number(found.calibration.error)} points "
        "on average.",
    )


def print_comparison(console: Console, found: Comparison, sides: tuple[Analysis, Analysis]) -> None:
    """Prints the sentence, the differences with their intervals, and both sides' errors."""
    if found.sentence:
        say(console, found.sentence)
    table = _table("Differences", ["Metric", *map(escape, found.names), "difference", "interval"])
    values = [dict(zip(METRICS, side.metrics.tolist(), strict=True)) for side in sides]
    for side, name in zip(sides, found.names, strict=True):
        if note := coverage_note(side.boxes, side.results):
            say(console, f"{name}: {note}")
    for one in found.differences:
        if one.metric in METRICS:
            cells = [number(side[one.metric]) for side in values]
            ends = f"{signed(one.low)} to {signed(one.high)}"
            table.add_row(one.metric, *cells, signed(one.value), ends)
    console.print(table)
    errors = _table("Errors: points of AP50 they cost", ["Kind", *map(escape, found.names)])
    for place, kind in enumerate(KINDS):
        errors.add_row(kind, *(number(float(side.costs.overall[place])) for side in sides))
    console.print(errors)


def say(console: Console, text: str) -> None:
    """Prints one line, with nothing in it that names could mean to the terminal."""
    console.print(one_line(text), soft_wrap=True, markup=False, highlight=False)


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place == 0 else "right")
    return table


def _metrics_table(found: Analysis) -> Table:
    ends = {one.metric: f"{one.low:.1f} to {one.high:.1f}" for one in found.intervals}
    width = f"{100 * found.confidence:g} % interval"
    table = _table("COCO metrics", ["Metric", "percent", *([width] if ends else [])])
    for name, value in zip(METRICS, found.metrics.tolist(), strict=True):
        table.add_row(name, number(value), *([ends.get(name, MISSING)] if ends else []))
    return table


def _errors_table(found: Analysis) -> Table:
    table = _table("Errors", ["Kind", "points of AP50", "number", "what"])
    costs = found.costs.overall
    for place in np.argsort(-np.nan_to_num(costs), kind="stable").tolist():
        kind = KINDS[place]
        cells = number(float(costs[place])), f"{found.errors.count(place):,}"
        table.add_row(kind, *cells, MEANINGS[kind])
    table.columns[-1].justify = "left"
    return table


def _classes_table(found: Analysis) -> Table:
    names, values = found.truth.class_names, found.of_class
    objects = found.boxes.objects_of_class()
    ap = values[0]
    order = np.argsort(np.where(np.isnan(ap), np.inf, ap), kind="stable")[:_SHOWN].tolist()
    title = "Classes" if len(names) <= _SHOWN else f"The {_SHOWN} classes with the lowest AP"
    shown = ("AP", "AP50", "AR100")
    table = _table(title, ["Class", "objects", *shown, "best F1", "from score", "costliest error"])
    for place in order:
        curves = found.curves[place]
        best = curves.best if curves is not None else None
        costs = found.costs.of_class[:, place]
        dear = KINDS[int(np.nanargmax(costs))] if (np.nan_to_num(costs) > 0).any() else MISSING
        table.add_row(
            escape(one_line(names[place])),
            f"{int(objects[place]):,}",
            *(number(float(values[CLASS_METRICS.index(key), place])) for key in shown),
            number(None if best is None else best.f1),
            number(None if best is None else best.threshold, 3),
            dear,
        )
    return table
