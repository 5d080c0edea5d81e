"""The comparison in the form of the paper's tables, for any medium. Engine-neutral.

The seeds of a network are one line: mean ± sample standard deviation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.table import Table

from resnext_det.reports.metric_columns import MetricColumn, kind_of, metric_columns
from resnext_det.reports.page_tables import pipe_table
from resnext_det.reports.published import (
    MISSING,
    PublishedColumn,
    PublishedTable,
    published_tables,
)
from resnext_det.reports.seeds import RowGroup, group_rows
from resnext_det.reports.study import DETECTION, Row

_DEFAULT = {DETECTION: ("table8",)}


@dataclass(frozen=True)
class Column:
    """One column: its heading and what it shows of a row.

    Attributes:
        title: the heading.
        text: row -> the cell.
        number: numbers are set flush right.
    """

    title: str
    text: Callable[[Row], str]
    number: bool = True


@dataclass(frozen=True)
class GroupColumn:
    """One column of a table whose lines are networks; see `Column`."""

    title: str
    text: Callable[[RowGroup], str]
    number: bool = True


def columns_for(
    rows: Sequence[Row], published: Sequence[str] | None = None, *, cost: bool = True
) -> list[GroupColumn]:
    """Returns the columns of a table of `rows`, and those further ones that some row can fill.

    Always: model, pretraining where it is known, and the metrics (`metric_columns`). Where known:
    published figures for models that such a table has, parameters and multiply-adds, and how many
    seeds there are, or which.

    Args:
        rows: of the table, every seed.
        published: names of tables to stand beside; the paper's Table 8 by default for detectors.
        cost: whether parameters and multiply-adds are among them.
    """
    groups = group_rows(rows)
    tables = published_tables(_DEFAULT.get(kind_of(rows), ()) if published is None else published)
    tables = [table for table in tables if _published(table, groups)]
    columns = [GroupColumn("Model", _name, number=False)]
    if kind_of(rows) == DETECTION or any(group.pretraining for group in groups):
        columns.append(GroupColumn("Pretrained", lambda g: g.pretraining or MISSING, number=False))
    columns += [GroupColumn(m.title, _metric(m)) for m in metric_columns(rows, tables)]
    columns += [column for table in tables for column in _published(table, groups)]
    if cost and any(row.flops is not None for row in rows):
        columns.append(GroupColumn("GFLOPs", lambda g: scaled(g.first.flops, 1e9)))
    if cost and any(row.params is not None for row in rows):
        columns.append(GroupColumn("Params (M)", lambda g: scaled(g.first.params, 1e6)))
    if any(len(group.rows) > 1 for group in groups):
        columns.append(GroupColumn("Seeds", lambda g: str(len(g.rows))))
    elif len({row.seed for row in rows}) > 1:
        columns.append(GroupColumn("Seed", lambda g: _seed(g.first)))
    return columns


def markdown_table(
    rows: Sequence[Row], further: Sequence[Column] = (), published: Sequence[str] | None = None
) -> str:
    """Returns the table as GitHub Markdown, ending with a newline.

    Args:
        rows: of the table, every seed.
        further: columns to put after the usual ones; what the seeds differ in stands side by side.
        published: see `columns_for`.
    """
    columns = [*columns_for(rows, published), *map(_of_groups, further)]
    lines = [[column.title for column in columns]]
    lines.append(["---:" if column.number else "---" for column in columns])
    for group in group_rows(rows):
        lines.append([column.text(group).replace("|", "\\|") for column in columns])
    return pipe_table(lines)


def rich_table(
    rows: Sequence[Row], title: str | None = None, published: Sequence[str] | None = None
) -> Table:
    """Returns the table for a terminal; see `columns_for`."""
    table = Table(title=title)
    columns = columns_for(rows, published)
    for column in columns:
        justify = "right" if column.number else "left"
        table.add_column(column.title, justify=justify, overflow="fold")
    for group in group_rows(rows):
        # Without spaces no number breaks in two, and more fit.
        table.add_row(*(column.text(group).replace(" ± ", "±") for column in columns))
    return table


def scaled(value: float | None, unit: float) -> str:
    """Returns a count in a unit with two decimals, or a dash."""
    return MISSING if value is None else f"{value / unit:.2f}"


def _of_groups(column: Column) -> GroupColumn:
    def text(group: RowGroup) -> str:
        return ", ".join(dict.fromkeys(map(column.text, group.rows)))

    return GroupColumn(column.title, text, column.number)


def _name(group: RowGroup) -> str:
    row = group.first
    return ", ".join(part for part in (row.model, row.note) if part)


def _metric(metric: MetricColumn) -> Callable[[RowGroup], str]:
    return lambda group: metric.spread(group)


def _published(table: PublishedTable, groups: Sequence[RowGroup]) -> list[GroupColumn]:
    """Returns the columns of a published table that stand beside some of the rows."""
    found = []
    for column in table.columns:
        cell = _cell_of(table, column)
        if column.key in table.beside and any(cell(group) != MISSING for group in groups):
            found.append(GroupColumn(f"{table.short} {column.title}", cell))
    return found


def _cell_of(table: PublishedTable, column: PublishedColumn) -> Callable[[RowGroup], str]:
    def cell(group: RowGroup) -> str:
        # What sets a row apart sets it apart from the published one of that name, too.
        if group.first.note != column.note:
            return MISSING
        return table.cell(table.find(group.first.model) or {}, column)

    return cell


def _seed(row: Row) -> str:
    return MISSING if row.seed is None else str(row.seed)
