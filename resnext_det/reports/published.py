"""What others published, to stand beside our figures. Engine-neutral."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from resnext_det.errors import UserError

MISSING = "–"


@dataclass(frozen=True)
class PublishedColumn:
    """One column of a published table.

    Attributes:
        key: of its values.
        title: its heading.
        decimals: that its values are printed with.
        note: of the rows that they can stand beside, for example "without shortcuts".
    """

    key: str
    title: str
    decimals: int = 1
    note: str = ""


@dataclass(frozen=True)
class PublishedTable:
    """A table of figures as their source prints them.

    Attributes:
        name: by which a study asks for it, for example "table8".
        short: a word or two for headings that stand beside ours.
        title: what it shows.
        source: where it stands.
        columns: after the model's name.
        beside: keys of the columns that can stand beside ours.
        rows: "model" and, where the source has one, the value of each key.
    """

    name: str
    short: str
    title: str
    source: str
    columns: tuple[PublishedColumn, ...]
    beside: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]

    def cell(self, row: Mapping[str, Any], column: PublishedColumn) -> str:
        """Returns a value as it is printed, or a dash."""
        value = row.get(column.key)
        if isinstance(value, int | float):
            return f"{value:.{column.decimals}f}"
        return MISSING if value is None else str(value)

    def find(self, model: str) -> Mapping[str, Any] | None:
        """Returns the row of a model by its name, or None where the table has no such."""
        return next((row for row in self.rows if row["model"] == model), None)


def published_tables(names: Sequence[str]) -> list[PublishedTable]:
    """Returns tables of published.json, each once, in the order of `names`.

    Raises:
        UserError: there is none of a name.
    """
    known = _read()
    for name in names:
        if name not in known:
            raise UserError(f"published: no table is named {name!r}; there are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


@cache
def _read() -> dict[str, PublishedTable]:
    text = resources.files("resnext_det.reports").joinpath("published.json").read_text("utf-8")
    return {name: _table(name, entry) for name, entry in json.loads(text).items()}


def _table(name: str, entry: Mapping[str, Any]) -> PublishedTable:
    return PublishedTable(
        name,
        entry["short"],
        entry["title"],
        entry["source"],
        columns=tuple(PublishedColumn(**column) for column in entry["columns"]),
        beside=tuple(entry["beside"]),
        rows=tuple(entry["rows"]),
    )
