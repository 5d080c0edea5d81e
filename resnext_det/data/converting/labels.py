"""What the readers of all formats give: photographs and what is labelled in them. Engine-neutral.

Coordinates are those of edges, not of pixel centres: an image of W columns reaches from 0 to W, as
in COCO.
"""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from resnext_det.data.catalog import is_one_line
from resnext_det.errors import UserError

Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """One labelled object.

    Attributes:
        where: file and place, for messages.
        class_name: of its class.
        box: x0, y0, x1, y1 in pixels of the image, or in shares of its sides.
        polygons: x0, y0, x1, y1, … each, in the same unit.
        is_crowd: whether COCO takes it for a region that counts neither way.
        kept: other keys of a COCO annotation, as they stand.
    """

    where: str
    class_name: str
    box: Corners
    polygons: tuple[tuple[float, ...], ...] = ()
    is_crowd: bool = False
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledImage:
    """One photograph.

    Attributes:
        name: below the folder of images, with slashes.
        file: the file of its labels, for messages.
        labels: may be empty.
        stated: (width, height) that the file says; None where it says none.
        in_shares: whether coordinates are shares of the sides, 0 … 1.
    """

    name: str
    file: str
    labels: tuple[Label, ...]
    stated: tuple[int, int] | None = None
    in_shares: bool = False


@dataclass(frozen=True)
class Found:
    """What lies in a folder.

    Attributes:
        images: those that have a file of labels, in its order.
        class_names: in their order, where the format says one; None: as they are labelled.
        splits: the folder's own, as name -> names of images.
        files: every file that was read, relative to the folder.
    """

    images: tuple[LabelledImage, ...]
    class_names: tuple[str, ...] | None
    splits: Mapping[str, frozenset[str]]
    files: tuple[str, ...]


class Notes:
    """What was mended or left out: how many of each kind, and the first."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, what: str, where: str) -> None:
        """Counts one.

        Args:
            what: of several, as in "box(es) are cut at the image's edge".
            where: the file and place.
        """
        self._counts[what] += 1
        self._first.setdefault(what, where)

    def count(self, what: str) -> int:
        """Returns how many there are of a kind."""
        return self._counts[what]

    def refuse_most(self, what: str, total: int, advice: str) -> None:
        """Refuses a folder of which more than half is of a kind: something else is wrong.

        Raises:
            UserError: it is.
        """
        count = self._counts[what]
        if 2 * count > total:
            raise UserError(f"{self._first[what]}: {count:,} of {total:,} {what}; {advice}")

    def lines(self) -> list[str]:
        """Returns a line for each kind."""
        return [
            f"{count:,} {what}; first: {self._first[what]}" for what, count in self._counts.items()
        ]


def checked_class(name: str, where: str) -> str:
    """Returns the name of a class without blanks around it.

    Raises:
        UserError: it is empty, or not one line of text.
    """
    stripped = name.strip()
    if not stripped or not is_one_line(stripped):
        raise UserError(f"{where}: the class is {name[:60]!r}; give it a name of one line")
    return stripped


def class_order(found: Found, given: Sequence[str] | None, given_by: str) -> tuple[str, ...]:
    """Returns the names of all classes, in the order of their numbers.

    Args:
        found: what was read.
        given: names in an order that the user gave; None: the format's own order, or by alphabet.
        given_by: what gave them, for messages.

    Raises:
        UserError: a label's class is not among those given, or there is none at all.
    """
    used = {label.class_name: label.where for image in found.images for label in image.labels}
    names = tuple(given or found.class_names or sorted(used))
    for name in sorted(set(used) - set(names)):
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise UserError(f"{used[name]}: class {name!r} is not in {given_by}{hint}")
    if not names:
        raise UserError("no object is labelled, so there is no class; give names as --classes FILE")
    return names
