"""The tables of a study's page, as headings and cells. Engine-neutral."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from resnext_det.reports.metric_columns import class_names, metric_columns, metric_name
from resnext_det.reports.published import MISSING, PublishedTable
from resnext_det.reports.seeds import RowGroup, group_rows, spread
from resnext_det.reports.study import CLASSIFICATION, DETECTION, Row, Study
from resnext_det.reports.study_entries import StudyDifference
from resnext_det.reports.table import columns_for, scaled
from resnext_det.statistics import sentences

_HOUR = 3600.0
_COUNTED = {  # as projects/studies counts them
    DETECTION: (
        "Params and GFLOPs are the backbone’s, without the detector’s other parts. GFLOPs are "
        "multiply-adds of its convolutions for one square image of 224 pixels, or of the test "
        "images’ shorter side where that is less."
    ),
    CLASSIFICATION: (
        "GFLOPs are multiply-adds of convolutions and linear layers for one test crop."
    ),
}


@dataclass(frozen=True)
class PageTable:
    """A table of a page.

    Attributes:
        headings: words and whether the column is of numbers; the first names the line.
        lines: as many cells each.
        caption: what stands below it.
    """

    headings: tuple[tuple[str, bool], ...]
    lines: tuple[tuple[str, ...], ...]
    caption: str = ""

    @property
    def roomy(self) -> bool:
        """Whether some number is too long for three on a phone's line."""
        numbers = [i for i, (_, number) in enumerate(self.headings) if number]
        return any(11 < len(line[i]) <= 22 for line in self.lines for i in numbers)


@dataclass(frozen=True)
class Pair:
    """The differences of two networks.

    Attributes:
        title: of the pair.
        differences: of its metrics, in the order of the file.
        table: of all metrics but the classes.
        classes: of the classes, or None where there are none.
    """

    title: str
    differences: tuple[StudyDifference, ...]
    table: PageTable
    classes: PageTable | None


def summary_table(study: Study, groups: Sequence[RowGroup], caption: str) -> PageTable:
    """Returns ours beside the published, a line per network."""
    columns = columns_for(study.rows, study.published or None, cost=False)
    return PageTable(
        tuple((column.title, column.number) for column in columns),
        tuple(tuple(column.text(group) for column in columns) for group in groups),
        caption,
    )


def seeds_table(study: Study, groups: Sequence[RowGroup]) -> PageTable:
    """Returns every seed's own figures."""
    metrics = metric_columns(study.rows, ap75=True)
    before = any("top1" in row.pretraining_metrics for row in study.rows)
    timed = any(row.seconds is not None for row in study.rows)
    titles = [*(metric.title for metric in metrics)]
    headings = [("Model", False), ("Seed", True)]
    headings += [("pretraining top-1", True)] * before
    headings += [(title, True) for title in titles] + [("hours", True)] * timed
    lines = []
    for group in groups:
        for row in group.rows:
            cells = [group.label, MISSING if row.seed is None else str(row.seed)]
            if before:
                cells.append(_decimal(row.pretraining_metrics.get("top1"), 1))
            cells += [metric.cell(row) for metric in metrics]
            if timed:
                cells.append(_hours(row.seconds))
            lines.append(tuple(cells))
    return PageTable(tuple(headings), tuple(lines))


def classes_table(groups: Sequence[RowGroup], rows: Sequence[Row]) -> PageTable | None:
    """Returns each class's AP of every network, or None where there is none."""
    names = class_names(rows)
    if not names:
        return None
    headings = (("Class", False), *((group.label, True) for group in groups))
    lines = [(name, *(spread(g.metric(f"AP-{name}")) for g in groups)) for name in names]
    return PageTable(headings, tuple(lines), "AP in percent, mean ± standard deviation over seeds.")


def cost_table(groups: Sequence[RowGroup], kind: str) -> PageTable | None:
    """Returns parameters, multiply-adds and times, or None where nothing is known."""
    columns = (
        ("Params (M)", [scaled(group.first.params, 1e6) for group in groups]),
        ("GFLOPs", [scaled(group.first.flops, 1e9) for group in groups]),
        ("s / iteration", [spread(g.summary(lambda r: r.train_seconds), 3) for g in groups]),
        ("hours a run", [spread(g.summary(_in_hours), 2) for g in groups]),
        ("Device", [", ".join(dict.fromkeys(r.device for r in g.rows)) for g in groups]),
    )
    known = [(title, cells) for title, cells in columns if set(cells) - {MISSING, ""}]
    if not known:
        return None
    headings = (("Model", False), *((title, title != "Device") for title, _ in known))
    lines = zip([group.label for group in groups], *(cells for _, cells in known), strict=True)
    counted = {"Params (M)", "GFLOPs"} & {title for title, _ in known}
    return PageTable(headings, tuple(lines), _COUNTED[kind] if counted else "")


def published_page_table(table: PublishedTable) -> PageTable:
    """Returns a published table as its source prints it."""
    words = {c.key for c in table.columns if any(isinstance(r.get(c.key), str) for r in table.rows)}
    return PageTable(
        (("Model", False), *((c.title, c.key not in words) for c in table.columns)),
        tuple((row["model"], *(table.cell(row, c) for c in table.columns)) for row in table.rows),
        f"{table.source}.",
    )


def pairs_of(study: Study) -> list[Pair]:
    """Returns the differences of each pair of networks, in the order of the file."""
    found: dict[tuple[str, str], list[StudyDifference]] = {}
    for difference in study.differences:
        found.setdefault((difference.first, difference.second), []).append(difference)
    groups = group_rows(study.rows)
    return [
        _pair(names, of, [row for group in groups if group.label in names for row in group.rows])
        for names, of in found.items()
    ]


def main_metric(study: Study) -> str:
    """Returns the metric that the page's first sentences speak of."""
    return "AP" if study.kind == DETECTION else "top1"


def _left_out(differences: Sequence[StudyDifference], rows: Sequence[Row]) -> str:
    """Says which of a pair's metrics have no difference, as both networks are always right."""
    compared = {d.metric for d in differences}
    always = [
        metric_name(key)
        for key in dict.fromkeys(key for row in rows for key in row.metrics)
        if key.endswith("top5") and key not in compared
        if all(row.metrics.get(key) == 100.0 for row in rows)
    ]
    return f"No line for {', '.join(always)}: both have 100 % at every seed." if always else ""


def _found_by_neither(differences: Sequence[StudyDifference], rows: Sequence[Row]) -> set[str]:
    """Returns the APs of which both detectors have 0 at every seed: nothing to compare."""
    names = {d.metric for d in differences if rows and d.metric.startswith("AP")}
    return {name for name in names if all(row.metrics.get(name) == 0.0 for row in rows)}


def _pair(
    names: tuple[str, str], differences: Sequence[StudyDifference], rows: Sequence[Row]
) -> Pair:
    neither = _found_by_neither(differences, rows)
    classes = [d for d in differences if d.metric.startswith("AP-")]
    others = [d for d in differences if d not in classes]
    return Pair(
        f"{names[1]} minus {names[0]}",
        tuple(differences),
        _differences_table(others, "Metric", neither, _left_out(differences, rows)),
        _differences_table(classes, "Class", neither) if classes else None,
    )


def _differences_table(
    differences: Sequence[StudyDifference], first: str, neither: Container[str], caption: str = ""
) -> PageTable:
    widths = dict.fromkeys(f"{100 * d.confidence:g} %" for d in differences)
    width = " or ".join(widths)
    drawn = max((d.drawn for d in differences), key=len, default="images")
    headings = (
        (first, False),
        ("Difference", True),
        (f"{width}, {drawn}", True),
        (f"{width}, seeds alone", True),
        ("Each seed", True),
        ("Verdict", False),
    )
    lines = tuple(_difference_line(d, d.metric in neither) for d in differences)
    return PageTable(headings, lines, caption)


def _difference_line(d: StudyDifference, neither: bool) -> tuple[str, ...]:
    if neither:  # 0.0 (0.0 to 0.0) would read as a finding of great precision
        return (metric_name(d.metric), *[MISSING] * 4, "neither finds any")
    return (
        metric_name(d.metric),
        signed(d.value),
        _interval(d.low, d.high),
        _interval(d.t_low, d.t_high),
        " ".join(signed(value) for value in d.per_seed) or MISSING,
        d.verdict or ("one seed" if d.one_seed and d.value is not None else MISSING),
    )


def signed(value: float | None) -> str:
    """Returns percent points with one decimal and their sign, which 0.0 has not; or a dash."""
    return MISSING if value is None else sentences.signed(value).replace("-", "−")


def _interval(low: float | None, high: float | None) -> str:
    return MISSING if low is None or high is None else f"{signed(low)} to {signed(high)}"


def _decimal(value: float | None, decimals: int) -> str:
    return MISSING if value is None else f"{value:.{decimals}f}"


def _hours(seconds: float | None) -> str:
    return MISSING if seconds is None else f"{seconds / _HOUR:.2f}"


def _in_hours(row: Row) -> float | None:
    return None if row.seconds is None else row.seconds / _HOUR
