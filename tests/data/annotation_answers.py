"""Oddities of annotation files and how to make them in a sound one. Engine-neutral."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from resnext_det.data.needs import BOXES, Needs

Content = dict[str, Any]
Spoil = Callable[[Content], str | None]
Answer = Literal["taken", "mended", "told", "refused"]


@dataclass(frozen=True)
class Case:
    """One oddity.

    Attributes:
        group: the heading it stands under.
        what: in words, as the document says it.
        answer: loads and says nothing; loads and the log says a line; is refused.
        says: what the log or the refusal has in it; the document shows the first of them.
        spoil: makes it in a sound content, or returns the text of a file instead.
        needs: what the detector reads beside boxes.
        options: of `load_coco`.
    """

    group: str
    what: str
    answer: Answer
    says: str
    spoil: Spoil
    needs: Needs = BOXES
    options: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The name of its test."""
        return f"{self.group}: {self.what}"


def taken(group: str, what: str, spoil: Spoil, needs: Needs = BOXES, **more: Any) -> Case:
    """What loads without a word."""
    return Case(group, what, "taken", "", spoil, needs, **more)


def mended(group: str, what: str, says: str, spoil: Spoil, needs: Needs = BOXES) -> Case:
    """What is mended in memory, and counted in one line of the log."""
    return Case(group, what, "mended", says, spoil, needs)


def told(group: str, what: str, says: str, spoil: Spoil, needs: Needs = BOXES, **more: Any) -> Case:
    """What loads, and is counted in one line of the log."""
    return Case(group, what, "told", says, spoil, needs, **more)


def refused(
    group: str, what: str, says: str, spoil: Spoil, needs: Needs = BOXES, **more: Any
) -> Case:
    """What ends the command with one line."""
    return Case(group, what, "refused", says, spoil, needs, **more)


def third(**values: object) -> Callable[[Content], None]:
    """Sets keys of annotation 3, which is of image 5 (b.png, 40x60) and category 3."""
    return lambda content: content["annotations"][2].update(values)


def first_image(**values: object) -> Callable[[Content], None]:
    """Sets keys of the first image of the file, which has id 5."""
    return lambda content: content["images"][0].update(values)


def all_of(section: str, key: str, change: Callable[[Any], Any]) -> Callable[[Content], None]:
    """Changes a key of every item that has it."""

    def spoil(content: Content) -> None:
        for item in content[section]:
            if key in item:
                item[key] = change(item[key])

    return spoil


def both(*spoils: Callable[[Content], object]) -> Callable[[Content], None]:
    """Does one after the other."""

    def spoil(content: Content) -> None:
        for one in spoils:
            one(content)

    return spoil


def repeated_item(section: str) -> Callable[[Content], None]:
    """Writes the first item of a list once more."""
    return lambda content: content[section].append(dict(content[section][0]))


def without(section: str, key: str) -> Callable[[Content], None]:
    """Leaves a key of the first item out."""
    return lambda content: content[section][0].pop(key) and None


def with_section(key: str, value: object) -> Callable[[Content], None]:
    """Sets one of COCO's lists."""
    return lambda content: content.update({key: value})


def corner_boxes(content: Content) -> None:
    """Makes twelve boxes of image 5, all x0, y0, x1, y1."""
    content["annotations"] = [
        {"id": n, "image_id": 5, "category_id": 3, "bbox": [20, 30 + n, 39, 59]} for n in range(12)
    ]


def run_lengths(size: Sequence[float], counts: object) -> Callable[[Content], None]:
    """Gives annotation 3 a run-length mask, the others polygons."""
    outline = [[1, 2, 30, 4, 5, 30]]
    return both(
        lambda content: [a.update(segmentation=outline) for a in content["annotations"]],
        third(segmentation={"size": list(size), "counts": counts}),
    )


def polygon(values: list[object]) -> Callable[[Content], None]:
    """Gives annotation 3 a polygon of these values, the others a sound one."""
    outline = [[1, 2, 30, 4, 5, 30]]

    def spoil(content: Content) -> None:
        for annotation in content["annotations"]:
            annotation["segmentation"] = outline
        content["annotations"][2]["segmentation"] = [values]

    return spoil


def as_lines(content: Content) -> str:
    """Returns the images as NDJSON."""
    return "\n".join(json.dumps(item) for item in content["images"])
