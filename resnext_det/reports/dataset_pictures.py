"""Pictures of data sets on a page: samples of classes, findings, twins. Engine-neutral."""

import base64
import io
import re
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
from PIL import Image

from resnext_det.data.checking.check import CheckResult
from resnext_det.data.checking.findings import Finding
from resnext_det.data.checking.open_sets import drawable
from resnext_det.data.checking.subjects import CheckedSet
from resnext_det.data.checking.twins import Twin
from resnext_det.errors import UserError, one_line
from resnext_det.reports.box_panels import Panel, marked_panel
from resnext_det.reports.study_entries import StudyBox, StudyPicture

_SIDE = 320  # pixels of the longer side
_SMALL = 160  # of a classification image
_MOST_BOXES = 60  # drawn on a picture
_MOST_SAMPLES = 240  # pictures of classes on a page
_PER_CLASS = 4


class PageImages:
    """Draws the images of checked sets; each picture of a page has a number of its own."""

    def __init__(self, result: CheckResult) -> None:
        self._sets = {checked.name: checked for checked in result.sets}
        self._numbers = count()
        self._places = {
            checked.name: {image.name: place for place, image in enumerate(checked.images)}
            for checked in result.sets
        }

    def of_place(
        self,
        checked: CheckedSet,
        place: int,
        caption: str,
        marked: Sequence[Any] = (),
        only_class: int | None = None,
    ) -> Panel | None:
        """Draws one image with its boxes.

        Args:
            checked: its set.
            place: its number.
            caption: what stands below it.
            marked: x, y, w, h of boxes in another colour.
            only_class: leave out boxes of other classes.

        Returns:
            The picture; None where the image cannot be decoded.
        """
        try:
            image = checked.reader.decode(place).picture
        except (UserError, OSError):
            return None
        size = image.size
        picture = StudyPicture(
            checked.images[place].name,
            size[0],
            size[1],
            small_address(image, _SIDE if checked.is_detection else _SMALL),
            tuple(_boxes(checked, place, only_class)),
            (),
        )
        boxes = [StudyBox(box, "", None) for box in _inside(marked, size)]
        return marked_panel(picture, next(self._numbers), boxes, one_line(caption))

    def of_finding(self, finding: Finding) -> Panel | None:
        """Draws the image of a finding, with the box that it is about marked."""
        checked = self._sets[finding.dataset]
        place = self._places[finding.dataset].get(finding.image) if finding.image else None
        if place is None or checked.facts[place].error:
            return None
        return self.of_place(checked, place, finding.text, _marked(checked, finding))

    def of_twin(self, result: CheckResult, twin: Twin) -> tuple[Panel, Panel] | None:
        """Draws a picture and its repetition."""
        panels = []
        for number, place in (twin.first, twin.second):
            checked = result.sets[number]
            caption = f"{checked.name}: {checked.images[place].name}"
            panels.append(self.of_place(checked, place, caption))
        first, second = panels
        return None if first is None or second is None else (first, second)

    def samples(self, checked: CheckedSet) -> list[tuple[str, list[Panel]]]:
        """Returns pictures of each class, spread over the set: of many classes fewer of each."""
        most = max(1, min(_PER_CLASS, _MOST_SAMPLES // max(1, len(checked.class_names))))
        found = []
        objects = checked.objects
        for number, name in enumerate(checked.class_names[:_MOST_SAMPLES]):
            chosen = (objects.classes == number) & ~objects.iscrowd
            images = np.unique(objects.images[chosen])
            images = images[[not checked.facts[place].error for place in images.tolist()]]
            spread = images[np.linspace(0, len(images) - 1, min(most, len(images))).astype(int)]
            panels = [
                self.of_place(checked, place, checked.images[place].name, only_class=number)
                for place in spread.tolist()
            ]
            found.append((name, [panel for panel in panels if panel is not None]))
        return [(name, panels) for name, panels in found if panels]


def _boxes(checked: CheckedSet, place: int, only_class: int | None) -> Iterator[StudyBox]:
    objects = checked.objects
    if objects.boxes is None:
        return
    rows = np.flatnonzero(objects.images == place)
    if only_class is not None:
        rows = rows[objects.classes[rows] == only_class]
    for row in rows[:_MOST_BOXES].tolist():
        x, y, width, height = objects.boxes[row].tolist()
        name = checked.class_names[int(objects.classes[row])]
        crowd = " (crowd)" if objects.iscrowd[row] else ""
        yield StudyBox((x, y, width, height), one_line(f"{name}{crowd}"), None)


def _marked(checked: CheckedSet, finding: Finding) -> list[Any]:
    """Returns the boxes that a finding on an annotation is about."""
    named = re.match(r"annotation (\S+)", finding.where)
    if named is None or not isinstance(checked.content, dict):
        return []
    items = checked.content.get("annotations")
    return [
        item.get("bbox")
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, dict)
        and str(item.get("id")) == named[1]
        and item.get("image_id") == finding.image_id
    ]


def _inside(
    boxes: Sequence[Any], size: tuple[int, int]
) -> Iterator[tuple[float, float, float, float]]:
    """Yields the parts of boxes that lie on the image; corners may be swapped."""
    for box in boxes:
        if not isinstance(box, list) or len(box) != 4:
            continue
        # Of no size, it is drawn as a dot; what is no number is not drawn at all.
        sizes = [abs(v) or 1 if type(v) in (int, float) else None for v in box[2:]]
        if not drawable([*box[:2], *sizes]):
            continue
        left, right = sorted((box[0], box[0] + box[2]))
        top, bottom = sorted((box[1], box[1] + box[3]))
        left, right = (min(max(v, 0), size[0]) for v in (left, right))
        top, bottom = (min(max(v, 0), size[1]) for v in (top, bottom))
        yield left, top, right - left, bottom - top


def small_address(image: Image.Image, side: int) -> str:
    """Returns a data: address of a JPEG whose longer side is at most so many pixels."""
    small = image.copy()
    small.thumbnail((side, side))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
