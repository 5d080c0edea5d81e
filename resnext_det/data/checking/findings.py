"""What a check found, as data: kinds, places, reasons. Engine-neutral."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from resnext_det.data.coco_mending import SlipKind
from resnext_det.errors import one_line

EXAMPLES = 3
"""Findings of a kind that a terminal shows."""


class CheckKind(Enum):
    """Kinds beside those of annotation files (`coco_problems.ProblemKind`); values as in JSON."""

    UNREADABLE = "unreadable"
    SET = "set"
    IMAGE_MISSING = "image_missing"
    IMAGE_BROKEN = "image_broken"
    IMAGE_OTHER_SIZE = "image_other_size"
    IMAGE_TURNED = "image_turned"
    IMAGE_UNNAMED = "image_unnamed"
    NOTHING_TO_TRAIN = "nothing_to_train"
    NO_OBJECT = "no_object"
    MANY_OBJECTS = "many_objects"
    CATEGORIES_DIFFER = "categories_differ"
    CLASS_UNTRAINED = "class_untrained"
    CLASS_UNTESTED = "class_untested"
    CLASS_EMPTY = "class_empty"
    CLASS_TWICE = "class_twice"
    LEAK_FILE = "leak_same_file"
    LEAK_PIXELS = "leak_same_pixels"
    LEAK_NEAR = "leak_near"
    TWIN_FILE = "twin_same_file"
    TWIN_PIXELS = "twin_same_pixels"
    TWIN_NEAR = "twin_near"
    TWIN_OTHER_CLASS = "twin_other_class"


_SLIPS = frozenset(kind.value for kind in SlipKind)
NOTES = _SLIPS | frozenset(
    kind.value
    for kind in (
        CheckKind.IMAGE_TURNED,
        CheckKind.IMAGE_UNNAMED,
        CheckKind.NO_OBJECT,
        CheckKind.MANY_OBJECTS,
        CheckKind.CLASS_UNTESTED,
        CheckKind.CLASS_EMPTY,
        CheckKind.CLASS_TWICE,
        CheckKind.TWIN_FILE,
        CheckKind.TWIN_PIXELS,
        CheckKind.TWIN_NEAR,
    )
)
"""Kinds that a run goes well with; all others are problems."""

TITLES = {
    "unreadable": "annotation file that cannot be read",
    "set": "set that cannot be opened",
    "image_missing": "image that is not there",
    "image_broken": "image that cannot be decoded",
    "image_other_size": "image of another size than its annotation says",
    "image_turned": "image turned by its EXIF orientation",
    "image_unnamed": "image in the folder that the annotation file does not name",
    "nothing_to_train": "set without a usable object",
    "no_object": "image without an object",
    "many_objects": "image with more objects than detections are kept",
    "categories_differ": "category that differs between the sets",
    "class_untrained": "class tested on, but absent from the training set",
    "class_untested": "class trained on, but absent from a test set",
    "class_empty": "class without an object in any set",
    "class_twice": "class name of several categories",
    "leak_same_file": "same file in two sets",
    "leak_same_pixels": "same pixels in two sets, in another file",
    "leak_near": "nearly the same picture in two sets",
    "twin_same_file": "same file twice in a set",
    "twin_same_pixels": "same pixels twice in a set, in another file",
    "twin_near": "nearly the same picture twice in a set",
    "twin_other_class": "same picture in two classes",
    "number_as_text": "number written as text or with a point, mended in memory",
    "id_given": "annotation without an id, mended in memory",
    "separators": "file name with backslashes between folders, mended in memory",
}
"""Words for the kinds of `CheckKind` and `SlipKind`; others have spaces for their underscores."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        dataset: the name of the set.
        kind: the value of a `ProblemKind`, a `SlipKind` or a `CheckKind`.
        where: the image, annotation or class, as "annotation 3"; empty for the whole set.
        reason: what is wrong, without the place.
        advice: how to mend it; may be empty.
        image: the image's name in the annotation file, or its path; empty where there is none.
        image_id: its id in the annotation file.
        other: of a twin, the other image, as "NAME: image".
        tolerated: whether a run goes on in spite of it, which makes it a note.
    """

    dataset: str
    kind: str
    where: str
    reason: str
    advice: str = ""
    image: str = ""
    image_id: int | str | None = None
    other: str = ""
    tolerated: bool = False

    @property
    def is_problem(self) -> bool:
        """Whether it is more than a note."""
        return not self.tolerated and self.kind not in NOTES

    @property
    def text(self) -> str:
        """The finding as one line, without its set and advice."""
        joint = " " if self.reason.startswith(("is ", "has ")) else ": "
        return one_line(f"{self.where}{joint}{self.reason}" if self.where else self.reason)

    def as_json(self) -> dict[str, Any]:
        """Returns what the JSON holds of it."""
        return {
            "dataset": self.dataset,
            "level": "problem" if self.is_problem else "note",
            "kind": self.kind,
            "where": self.where,
            "image": self.image,
            "image_id": self.image_id,
            "other": self.other,
            "reason": self.reason,
            "advice": self.advice,
        }


@dataclass(frozen=True)
class FindingGroup:
    """The findings of one kind in one set, in the order in which they were found."""

    dataset: str
    kind: str
    findings: tuple[Finding, ...]

    @property
    def is_problem(self) -> bool:
        """Whether they are more than notes."""
        return self.findings[0].is_problem

    @property
    def title(self) -> str:
        """What the kind is called."""
        return title_of(self.kind)

    @property
    def advice(self) -> str:
        """How to mend them: the first advice given."""
        return next((finding.advice for finding in self.findings if finding.advice), "")


def title_of(kind: str) -> str:
    """Returns words for a kind."""
    return TITLES.get(kind, kind.replace("_", " "))


def group_findings(findings: Iterable[Finding]) -> list[FindingGroup]:
    """Returns findings by set and kind: problems first, then in the order of their first ones."""
    groups: dict[tuple[str, str, bool], list[Finding]] = {}
    for finding in findings:
        key = finding.dataset, finding.kind, finding.is_problem
        groups.setdefault(key, []).append(finding)
    made = [FindingGroup(*key[:2], tuple(members)) for key, members in groups.items()]
    return sorted(made, key=lambda group: not group.is_problem)
