"""A study's rows with the seeds of each network together. Engine-neutral."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from resnext_det.reports.study import Row
from resnext_det.statistics.summary import Summary, summarise


@dataclass(frozen=True)
class RowGroup:
    """One line of the table: a network, trained at one seed or several.

    Attributes:
        rows: one of each seed; at least one.
        label: name for legends, as long as it takes to tell the study's lines apart.
    """

    rows: tuple[Row, ...]
    label: str

    @property
    def first(self) -> Row:
        """The row of the first seed; what belongs to the network is the same in all."""
        return self.rows[0]

    @property
    def seeds(self) -> list[int]:
        """The seeds, where they are known."""
        return [row.seed for row in self.rows if row.seed is not None]

    @property
    def pretraining(self) -> str:
        """Words on where it started; "" where unknown."""
        words = list(dict.fromkeys(row.pretraining for row in self.rows))
        if len(words) == 1:
            return words[0] or {True: "yes", False: "no", None: ""}[self.first.pretrained]
        # They differ in what each seed's classifier scored, after the last comma.
        starts = {text.rpartition(", ")[0] for text in words}
        common = starts.pop() if len(starts) == 1 else ""
        top1 = summarise(row.pretraining_metrics.get("top1") for row in self.rows)
        score = "" if top1.mean is None else f"{spread(top1)} % top-1"
        return ", ".join(part for part in (common, score) if part) or "yes"

    def summary(self, value: Callable[[Row], float | None]) -> Summary:
        """Returns mean, spread and number of a value over the seeds."""
        return summarise(value(row) for row in self.rows)

    def metric(self, key: str) -> Summary:
        """Returns mean, spread and number of a metric over the seeds."""
        return self.summary(lambda row: row.metrics.get(key))


def group_rows(rows: Sequence[Row]) -> list[RowGroup]:
    """Puts the seeds of each network together, networks in the order of their first row.

    Rows are of one network where model, start and note agree and the seeds are known and differ.
    """
    groups: list[list[Row]] = []
    for row in rows:
        for group in groups:
            known = [other.seed for other in group]
            new = row.seed not in known and None not in (*known, row.seed)
            if new and _key(group[0]) == _key(row):
                group.append(row)
                break
        else:
            groups.append([row])
    return [
        RowGroup(tuple(group), label) for group, label in zip(groups, _labels(groups), strict=True)
    ]


def _key(row: Row) -> tuple[str, bool | None, str]:
    return row.model, row.pretrained, row.note


def _labels(groups: Sequence[Sequence[Row]]) -> list[str]:
    rows = [group[0] for group in groups]
    if len({row.pretrained for row in rows}) > 1:
        return [row.label for row in rows]
    return [", ".join(part for part in (row.model, row.note) if part) for row in rows]


def spread(summary: Summary, decimals: int = 1) -> str:
    """Returns "mean ± sample standard deviation", the mean alone of one value, "–" of none."""
    if summary.mean is None:
        return "–"
    text = f"{summary.mean:.{decimals}f}"
    return text if summary.std is None else f"{text} ± {summary.std:.{decimals}f}"
