"""A study's errors beside the paper's, in the form of the paper's tables. Engine-neutral."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from projects.studies.findings import Finding, FindingsOf, difference_findings
from projects.studies.grid import StudyRow
from resnext_det.errors import UserError
from resnext_det.json_files import read_json
from resnext_det.reports.page_tables import pipe_table
from resnext_det.reports.published import MISSING, published_tables
from resnext_det.statistics.summary import summarise

NOT_RUN = "not run"
Content = Mapping[str, Any]
OWN_WAY = "own_way/"
"""Begins a metric of a subset of M classes, scored among these: stands for `M_way/`."""


@dataclass(frozen=True)
class ErrorColumn:
    """One error.

    Attributes:
        title: of the column, for example "top-1 err".
        metric: the accuracy that it is 100 minus of; `own_way/top1` is any `M_way/top1`.
        decimals: that it is printed with.
    """

    title: str
    metric: str = "top1"
    decimals: int = 1


@dataclass(frozen=True)
class PaperLine:
    """A line of ours and the paper's that it answers to.

    Attributes:
        row: ours; None where only the paper has it.
        model: the paper's.
        keys: of the paper's errors in its published table, one for each column.
        note: words beside the paper's model, for example "without shortcuts".
    """

    row: StudyRow | None
    model: str
    keys: tuple[str, ...]
    note: str = ""

    @property
    def paper_label(self) -> str:
        """What the paper's network is called."""
        return ", ".join(part for part in (self.model, self.note) if part)


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper and our lines of it.

    Attributes:
        published: its name in `resnext_det/reports/published.json`.
        columns: the errors it has.
        lines: in their order.
        title: what it shows, where the published title does not say it.
    """

    published: str
    columns: tuple[ErrorColumn, ...]
    lines: tuple[PaperLine, ...]
    title: str = ""


def error_lines(table: PaperTable, content: Content | None) -> list[list[str]]:
    """Returns the heading and the lines of a table as text.

    Each error of ours is the mean over seeds, ± the sample standard deviation of several.

    Args:
        table: what to show.
        content: of the study's result.json; None where it was not run.
    """
    [published] = published_tables([table.published])
    same = all(line.row is None or line.row.model == line.model for line in table.lines)
    heading = ["Network", *(column.title for column in table.columns), "Seeds"]
    heading += [] if same else ["the paper's network"]
    heading += [f"paper, {column.title}" for column in table.columns]
    lines = [heading]
    for line in table.lines:
        metrics = _metrics(line.row, content)
        found = published.find(line.model) or {}
        name = line.row.label if line.row else line.paper_label
        cells = [name, *(_ours(line.row, metrics, column, content) for column in table.columns)]
        cells.append(str(len(metrics)) if metrics else MISSING)
        cells += [] if same else [line.paper_label]
        pairs = zip(table.columns, line.keys, strict=True)
        cells += [_number(found.get(key), column.decimals) for column, key in pairs]
        lines.append(cells)
    return lines


def markdown_errors(table: PaperTable, content: Content | None) -> str:
    """Returns a table as GitHub Markdown, ending with a newline."""
    lines = error_lines(table, content)
    numbers = ["---:" if _is_number(title) else "---" for title in lines[0]]
    return pipe_table([lines[0], numbers, *lines[1:]])


def rich_errors(table: PaperTable, content: Content | None) -> Table:
    """Returns a table for a terminal."""
    lines = error_lines(table, content)
    shown = Table()
    for title in lines[0]:
        shown.add_column(title, justify="right" if _is_number(title) else "left")
    for line in lines[1:]:
        shown.add_row(*line)
    return shown


def read_content(path: Path) -> Content | None:
    """Reads a study's result.json; None where there is none.

    Raises:
        UserError: the file is no study's.
    """
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("rows"), list):
        raise UserError(f"{path}: not a study's result.json, it has no 'rows'")
    return content


def markdown_of_results(made: Mapping[str, PaperTable], results: Path) -> dict[str, str]:
    """Returns tables as GitHub Markdown, each from the study in `results` that is named like it.

    Args:
        made: table name -> table.
        results: folder of NAME.json; a study that is not there leaves its figures out.
    """
    return {
        name: markdown_errors(table, read_content(results / f"{name}.json"))
        for name, table in made.items()
    }


class PrintedErrors:
    """Keeps what a study gathered, so that its tables can be printed after it.

    Give it to `study_main` as `findings`; then call `print`, which does nothing where nothing was
    gathered.

    Args:
        tables: to print, which may be set later, too.
        findings: the study's own sentences.
    """

    def __init__(
        self, tables: Sequence[PaperTable], findings: FindingsOf = difference_findings
    ) -> None:
        self.tables = tables
        self._findings = findings
        self._content: Content | None = None

    def __call__(self, content: Content) -> list[Finding]:
        """Returns the sentences, and keeps the content."""
        self._content = content
        return self._findings(content)

    def print(self, console: Console) -> None:
        """Prints the tables that have a row of the study."""
        if self._content is None:
            return
        for table in self.tables:
            if any(_metrics(line.row, self._content) for line in table.lines):
                [published] = published_tables([table.published])
                title = f"{published.short}: {table.title or published.title}, error in %"
                console.print(title, highlight=False, soft_wrap=True)  # above, a table wraps it
                console.print(rich_errors(table, self._content))


def _metrics(row: StudyRow | None, content: Content | None) -> list[Mapping[str, float | None]]:
    """The metrics of a row at each seed."""
    if row is None or content is None:
        return []
    return [
        entry["metrics"]
        for entry in content["rows"]
        if (entry["model"], entry.get("note", "")) == (row.model, row.note)
    ]


def _ours(
    row: StudyRow | None,
    metrics: Sequence[Mapping[str, float | None]],
    column: ErrorColumn,
    content: Content | None,
) -> str:
    if row is None:
        return MISSING
    if content is None or not metrics:
        return NOT_RUN
    values = [_value(entry, column.metric) for entry in metrics]
    summary = summarise(None if value is None else 100 - value for value in values)
    text = _number(summary.mean, column.decimals)
    return text if summary.std is None else f"{text} ± {summary.std:.{column.decimals}f}"


def _value(metrics: Mapping[str, float | None], name: str) -> float | None:
    if not name.startswith(OWN_WAY):
        return metrics.get(name)
    pattern = re.compile(rf"\d+_way/{re.escape(name.removeprefix(OWN_WAY))}")
    return next((value for key, value in metrics.items() if pattern.fullmatch(key)), None)


def _number(value: float | None, decimals: int) -> str:
    return MISSING if value is None else f"{value:.{decimals}f}"


def _is_number(title: str) -> bool:
    return title not in ("Network", "the paper's network")
