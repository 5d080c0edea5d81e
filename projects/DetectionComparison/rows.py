"""The networks that are compared, and which of them are of equal complexity. Engine-neutral."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from projects.studies.grid import StudyRow
from resnext_det.errors import UserError

SCRATCH = "_scratch"
"""Ends the tag of a row whose detector starts from no weights."""


@dataclass(frozen=True)
class RowSet:
    """The rows of a scale.

    Attributes:
        rows: all that can be asked for, in the order of the table.
        default: tags of those that run where none are asked for.
        pairs: tags of (first, second) whose difference, second minus first, is of interest.
    """

    rows: tuple[StudyRow, ...]
    default: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]

    def choose(self, tags: Sequence[str] | None) -> tuple[StudyRow, ...]:
        """Returns the rows asked for, in the order of the table.

        Args:
            tags: as given to --rows; None takes the default.

        Raises:
            UserError: a tag is none of this scale's.
        """
        tags = self.default if tags is None else tags
        known = [row.tag for row in self.rows]
        for tag in tags:
            if tag not in known:
                near = difflib.get_close_matches(tag, known, n=1)
                hint = f" (did you mean '{near[0]}'?)" if near else ""
                raise UserError(f"--rows {tag}: no row{hint}; there are {', '.join(known)}")
        return tuple(row for row in self.rows if row.tag in tags)

    def pairs_of(self, rows: Sequence[StudyRow]) -> tuple[tuple[StudyRow, StudyRow], ...]:
        """Returns the pairs that have both their rows among the chosen ones."""
        found = {row.tag: row for row in rows}
        return tuple((found[a], found[b]) for a, b in self.pairs if {a, b} <= found.keys())


def _mini() -> RowSet:
    """Two pairs as in Table 8, shallow and deep, each with half of the usual channels.

    Multiply-adds of the second to the first: +0.2 % and +3.4 %; of the paper's own
    ResNet-50 and ResNeXt-50 32x4d: +3.4 %.
    """
    rows = (
        StudyRow("ResNet-26 1x32d, half width", "R_26_1x32d_half", pretrained=True),
        StudyRow("ResNeXt-26 30x2d, half width", "X_26_30x2d_half", pretrained=True),
        StudyRow("ResNet-50 1x32d, half width", "R_50_1x32d_half", pretrained=True),
        StudyRow("ResNeXt-50 32x2d, half width", "X_50_32x2d_half", pretrained=True),
    )
    scratch = tuple(replace(row, tag=row.tag + SCRATCH, pretrained=False) for row in rows)
    tags = tuple(row.tag for row in rows)
    gains = tuple((tag + SCRATCH, tag) for tag in tags)
    return RowSet(rows + scratch, tags, ((tags[0], tags[1]), (tags[2], tags[3]), *gains))


MINI = _mini()

FULL = RowSet(
    rows=(
        StudyRow("ResNet-50", "R_50", pretrained=True),
        StudyRow("ResNeXt-50 32x4d", "X_50_32x4d", pretrained=True),
        StudyRow("ResNet-101", "R_101", pretrained=True),
        StudyRow("ResNeXt-101 32x4d", "X_101_32x4d", pretrained=True),
        StudyRow("ResNeXt-101 64x4d", "X_101_64x4d", pretrained=True),
        StudyRow("ResNeXt-152 32x4d", "X_152_32x4d", pretrained=True),
    ),
    default=("R_50", "X_50_32x4d", "R_101", "X_101_32x4d"),  # Table 8
    pairs=(("R_50", "X_50_32x4d"), ("R_101", "X_101_32x4d")),
)
