"""What a study is: rows times seeds, each a chain of runs, and what is compared. Engine-neutral."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from projects.studies.jobs import Job

Kind = Literal["detection", "classification"]


@dataclass(frozen=True)
class StudyRow:
    """One line of the table: a network and how it is trained, whatever the seed.

    Attributes:
        model: for tables, for example "ResNeXt-50 32x4d"; published figures are found by it.
        tag: for folders, for example "X_50_32x4d".
        pretrained: whether its detector starts from classification weights; None for classifiers.
        note: words on what sets it apart, for example "without shortcuts".
        pretraining: words on the data it was pretrained on, for example "digits"; a table adds
            the accuracy where the study itself pretrained it.
    """

    model: str
    tag: str
    pretrained: bool | None = None
    note: str = ""
    pretraining: str = ""

    @property
    def label(self) -> str:
        """What messages call it, with where it started."""
        start = {True: "pretrained", False: "from scratch", None: ""}[self.pretrained]
        return ", ".join(part for part in (self.model, start, self.note) if part)

    def label_among(self, starts: Iterable[bool | None]) -> str:
        """Returns its name in a study: where it started is left out where all started alike.

        Args:
            starts: `pretrained` of the study's rows.
        """
        return self.label if len(set(starts)) > 1 else replace(self, pretrained=None).label


@dataclass(frozen=True)
class Cell:
    """One row at one seed.

    Attributes:
        row: which line of the table.
        seed: of every run of the chain that this seed draws.
        jobs: in their order; the last one's result.json holds the metrics. Cells may share jobs.
    """

    row: StudyRow
    seed: int
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class TestSet:
    """What every cell is scored on.

    Attributes:
        source: JSON:IMAGES of detection, a folder of class folders of classification, or the
            name of a data set of the catalogue.
        description: words for the page.
    """

    __test__ = False  # pytest would take it for tests

    source: str
    description: str = ""


@dataclass(frozen=True)
class Grid:
    """A whole study.

    Attributes:
        title: of the page.
        kind: of what the metrics are.
        scale: "mini", "coco", …
        output: the study's folder; every job's folder lies in it.
        cells: rows in the order of the table, each at every seed.
        pairs: (first, second) rows whose difference, second minus first, is asked.
        test_set: what all are scored on.
        compared: config keys that may differ between rows; every other key must not, but for
            OUTPUT_DIR and, between seeds, SEED.
        max_flops_difference: percent by which the multiply-adds of two rows of a pair may differ,
            a check; None where the pairs are not meant to be equal.
        published: keys of tables in `resnext_det/reports/published.json` to print beside ours.
        more: further entries of the result JSON.
    """

    title: str
    kind: Kind
    scale: str
    output: Path
    cells: tuple[Cell, ...]
    pairs: tuple[tuple[StudyRow, StudyRow], ...]
    test_set: TestSet
    compared: Sequence[str] = ()
    max_flops_difference: float | None = None
    published: Sequence[str] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def jobs(self) -> list[Job]:
        """Every job once, in the order of their start: those that many need come first."""
        return list(dict.fromkeys(job for cell in self.cells for job in cell.jobs))

    @property
    def rows(self) -> list[StudyRow]:
        """Every row once, in the order of the table."""
        return list(dict.fromkeys(cell.row for cell in self.cells))

    def label_of(self, row: StudyRow) -> str:
        """Returns what differences and pictures call one of the rows."""
        return row.label_among(other.pretrained for other in self.rows)
