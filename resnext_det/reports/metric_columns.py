"""Which metrics a table shows, and how they are printed. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass

from resnext_det.reports.published import MISSING, PublishedTable
from resnext_det.reports.seeds import RowGroup, spread
from resnext_det.reports.study import CLASSIFICATION, DETECTION, Row
from resnext_det.statistics.summary import Summary

_DETECTION = {
    "AP50": "AP@0.5",
    "AP": "AP",
    "AP75": "AP@0.75",
    "APs": "APs",
    "APm": "APm",
    "APl": "APl",
}
_ACCURACY = {"top1": "top-1", "top5": "top-5"}
SIZES = ("APs", "APm", "APl")


@dataclass(frozen=True)
class MetricColumn:
    """A metric as a table prints it.

    Attributes:
        title: the heading.
        key: of the rows' metrics, which are in percent.
        error: whether 100 minus the metric is printed.
        decimals: that it is printed with.
    """

    title: str
    key: str
    error: bool = False
    decimals: int = 1

    def cell(self, row: Row) -> str:
        """Returns one row's value, or a dash."""
        value = row.metrics.get(self.key)
        if value is None:
            return MISSING
        return f"{100 - value if self.error else value:.{self.decimals}f}"

    def summary(self, group: RowGroup) -> Summary:
        """Returns mean, spread and number over the seeds."""
        found = group.metric(self.key)
        if self.error and found.mean is not None:
            return Summary(100 - found.mean, found.std, found.n)
        return found

    def spread(self, group: RowGroup) -> str:
        """Returns mean and spread over the seeds, or a dash."""
        return spread(self.summary(group), self.decimals)


def kind_of(rows: Sequence[Row]) -> str:
    """Returns "classification" where every row has a top-1 accuracy, else "detection"."""
    classifies = bool(rows) and all("top1" in row.metrics for row in rows)
    return CLASSIFICATION if classifies else DETECTION


def metric_columns(
    rows: Sequence[Row], published: Sequence[PublishedTable] = (), *, ap75: bool = False
) -> list[MetricColumn]:
    """Returns the metrics of a table.

    Of detectors AP@0.5, AP, APs, APm, APl. Of classifiers the errors, as the paper prints them,
    and the accuracies where a published table that stands beside them prints those; decimals are
    the published tables'.

    Args:
        rows: of the table.
        published: that stand beside them.
        ap75: whether AP@0.75 is among a detector's.
    """
    if kind_of(rows) == DETECTION:
        return [
            MetricColumn(title, key) for key, title in _DETECTION.items() if ap75 or key != "AP75"
        ]
    beside = [c for table in published for c in table.columns if c.key in table.beside]
    decimals = min(2, max((column.decimals for column in beside), default=1))
    keys = [key for key in _ACCURACY if any(key in row.metrics for row in rows)]
    columns = [MetricColumn(f"{_ACCURACY[key]} err", key, True, decimals) for key in keys]
    if any(column.key in _ACCURACY for column in beside):
        columns += [MetricColumn(_ACCURACY[key], key, False, decimals) for key in keys]
    return columns


def metric_name(key: str) -> str:
    """Returns words for a metric's key: "AP@0.5", "top-1 accuracy", or a class's name."""
    if key in _ACCURACY:
        return f"{_ACCURACY[key]} accuracy"
    return _DETECTION.get(key) or key.removeprefix("AP-")


def class_names(rows: Sequence[Row]) -> list[str]:
    """Returns the classes that some row has an AP of, in the order of the file."""
    names = [key for row in rows for key in row.metrics if key.startswith("AP-")]
    return [key.removeprefix("AP-") for key in dict.fromkeys(names)]
