"""What is wrong with an annotation file, as data: kinds, places, reasons. Engine-neutral.

The checks of `coco_checks`, `coco_values`, `coco_boxes`, `coco_outlines` and `coco_keypoints` are
generators of these. `load_coco` raises the first; `coco_survey` lists all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from resnext_det.errors import UserError

FIX = "`resnext-det dataset check --fix`"
_CLAUSES = ("is ", "has ", "have ")


class ProblemKind(Enum):
    """Kinds of problems; the value is its name in JSON."""

    LAYOUT = "layout"
    EMPTY_SECTION = "empty_section"
    CLASS_NAME = "class_name"
    MIXED_IDS = "mixed_ids"
    ID_RANGE = "id_range"
    REPEATED_ID = "repeated_id"
    UNKNOWN_IMAGE = "unknown_image"
    UNKNOWN_CATEGORY = "unknown_category"
    IGNORED = "ignored"
    FILE_NAME = "file_name"
    FILE_NAME_LEAVES = "file_name_leaves"
    SAME_FILE = "same_file"
    IMAGE_SIZE = "image_size"
    IS_CROWD = "iscrowd"
    AREA = "area"
    SEGMENTATION = "segmentation"
    BOX_VALUES = "box_values"
    BOX_CORNERS = "box_corners"
    BOX_SIZE = "box_size"
    BOX_OUTSIDE = "box_outside"
    BOX_OVERHANG = "box_overhang"
    NO_MASKS = "no_masks"
    MASK_MISSING = "mask_missing"
    MASK_FORMAT = "mask_format"
    RUN_LENGTHS = "run_lengths"
    POLYGON_POINTS = "polygon_points"
    POLYGON_VALUES = "polygon_values"
    POLYGON_OUTSIDE = "polygon_outside"
    KEYPOINT_NAMES = "keypoint_names"
    NO_KEYPOINTS = "no_keypoints"
    KEYPOINTS_MISSING = "keypoints_missing"
    KEYPOINT_VALUES = "keypoint_values"
    KEYPOINT_OUTSIDE = "keypoint_outside"


_BOX_GEOMETRY = frozenset({ProblemKind.BOX_SIZE, ProblemKind.BOX_OUTSIDE, ProblemKind.BOX_OVERHANG})
_ALWAYS_COUNTED = {
    ProblemKind.REPEATED_ID: "such id(s)",
    ProblemKind.UNKNOWN_IMAGE: "such annotation(s)",
    ProblemKind.UNKNOWN_CATEGORY: "such annotation(s)",
    ProblemKind.MASK_MISSING: "such annotation(s)",
    ProblemKind.KEYPOINTS_MISSING: "such annotation(s)",
    **dict.fromkeys(_BOX_GEOMETRY, "unusable box(es) in the file"),
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file.

    Attributes:
        kind: of which kind.
        where: the image, annotation or key, as "annotation 3"; empty for the whole file.
        reason: what is wrong; goes on after `where`, or stands after a colon.
        advice: how to mend it; empty where the reason says it.
        image_id: of the image it concerns, where one can be told.
    """

    kind: ProblemKind
    where: str
    reason: str
    advice: str = ""
    image_id: int | str | None = None

    def line(self, path: Path, number: int = 1) -> str:
        """Returns the problem as one line.

        Args:
            path: the annotation file.
            number: how many of its kind there are.
        """
        joint = " " if self.reason.startswith(_CLAUSES) else ": "
        told = f"{self.where}{joint}{self.reason}" if self.where else self.reason
        noun = _ALWAYS_COUNTED.get(self.kind, "such in the file" if number > 1 else "")
        counted = f"; {number} {noun}" if noun else ""
        end = "." if self.advice[:1].isupper() else ";"
        advice = f"{end} {self.advice}" if self.advice else ""
        return f"{path}: {told}{counted}{advice}"


def refuse_first(path: Path, problems: Iterable[Problem]) -> None:
    """Lets a file without problems pass.

    Args:
        path: the file.
        problems: of one check; it is run to its end only where there is one.

    Raises:
        UserError: the first problem, and how many of its kind there are.
    """
    rest = iter(problems)
    first = next(rest, None)
    if first is not None:
        raise UserError(first.line(path, 1 + sum(_alike(first, other) for other in rest)))


def _alike(one: Problem, other: Problem) -> bool:
    return one.kind == other.kind or {one.kind, other.kind} <= _BOX_GEOMETRY
