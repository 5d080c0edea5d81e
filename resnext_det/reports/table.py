"""The comparison in the form of the paper's Table 8, in three forms. Engine-neutral."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.table import Table

from resnext_det.reports.page_tables import pipe_table
from resnext_det.reports.published import (
    MISSING,
    PublishedColumn,
    PublishedTable,
    published_tables,
)
from resnext_det.reports.study import Row

PAPER = ("table8",)


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


def columns_for(rows: Sequence[Row]) -> list[Column]:
    """Returns Table 8's columns, and those further ones that some row can fill.

    Always: model, pretraining, AP@0.5, AP, APs, APm, APl. Where known: parameters and
    multiply-adds of the backbone, seeds that differ, and the paper's figures for models
    that its table has.
    """
    columns = [
        Column("Model", lambda row: row.model, number=False),
        Column("Pretrained", _pretraining, number=False),
        _metric("AP@0.5", "AP50"),
        *(_metric(name, name) for name in ("AP", "APs", "APm", "APl")),
    ]
    columns += _published(rows, PAPER)
    if any(row.flops is not None for row in rows):
        columns.append(Column("GFLOPs", lambda row: _scaled(row.flops, 1e9)))
    if any(row.params is not None for row in rows):
        columns.append(Column("Params (M)", lambda row: _scaled(row.params, 1e6)))
    if len({row.seed for row in rows}) > 1:
        columns.append(Column("Seed", lambda row: MISSING if row.seed is None else str(row.seed)))
    return columns


def markdown_table(rows: Sequence[Row], further: Sequence[Column] = ()) -> str:
    """Returns the table as GitHub Markdown, ending with a newline.

    Args:
        rows: its lines.
        further: columns to put after the usual ones.
    """
    columns = [*columns_for(rows), *further]
    lines = [[column.title for column in columns]]
    lines.append(["---:" if column.number else "---" for column in columns])
    lines.extend([column.text(row).replace("|", "\\|") for column in columns] for row in rows)
    return pipe_table(lines)


def rich_table(rows: Sequence[Row], title: str | None = None) -> Table:
    """Returns the table for a terminal."""
    table = Table(title=title)
    for column in columns_for(rows):
        table.add_column(column.title, justify="right" if column.number else "left")
    for row in rows:
        table.add_row(*(column.text(row) for column in columns_for(rows)))
    return table


def percent(value: float | None) -> str:
    """Returns a metric with one decimal, as the paper prints it, or a dash."""
    return MISSING if value is None else f"{value:.1f}"


def _metric(title: str, key: str) -> Column:
    return Column(title, lambda row: percent(row.metrics.get(key)))


def _published(rows: Sequence[Row], names: Sequence[str]) -> list[Column]:
    """Returns the columns of published tables that have some of the rows' models."""
    found = []
    for table in published_tables(names):
        if any(table.find(row.model) for row in rows):
            for column in table.columns:
                if column.key in table.beside:
                    found.append(Column(f"{table.short} {column.title}", _cell_of(table, column)))
    return found


def _cell_of(table: PublishedTable, column: PublishedColumn) -> Callable[[Row], str]:
    return lambda row: table.cell(table.find(row.model) or {}, column)


def _pretraining(row: Row) -> str:
    return row.pretraining or {True: "yes", False: "no", None: MISSING}[row.pretrained]


def _scaled(value: float | None, unit: float) -> str:
    return MISSING if value is None else f"{value / unit:.2f}"
