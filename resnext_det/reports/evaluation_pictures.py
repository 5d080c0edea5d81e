"""The images behind the numbers of an evaluation, and what is wrong in them. Engine-neutral."""

from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from resnext_det.analysis.errors import KINDS, MISSED
from resnext_det.analysis.images import Place
from resnext_det.analysis.scored_boxes import ScoredBoxes
from resnext_det.data.file_names import leaves_folder, name_flaw
from resnext_det.data.image_files import open_rgb
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.errors import one_line
from resnext_det.reports.box_panels import Panel, judged_panel
from resnext_det.reports.dataset_pictures import small_address
from resnext_det.reports.study_entries import StudyBox, StudyPicture

_SIDE = 320  # pixels of the longer side
_MOST_BOXES = 60  # drawn on a picture


class EvaluatedImages:
    """Draws the images of an evaluation; each picture of a page has a number of its own.

    Args:
        boxes: of the results.
        folder: of the images; None where they must not, or cannot, be shown.
    """

    def __init__(self, boxes: ScoredBoxes, folder: Path | None) -> None:
        self._boxes = boxes
        self._folder = folder
        self._numbers = count()

    def name(self, image: int) -> str:
        """Returns an image's file name, or its id where the annotation file has none."""
        truth = self._boxes.truth
        return one_line(truth.file_names[image] or f"image {truth.image_ids[image]}")

    def panel(self, place: Place, caption: str) -> Panel | None:
        """Draws a place.

        Args:
            place: what it is about.
            caption: what is said after the image's name.

        Returns:
            The picture; None where the image is not at hand, or cannot be decoded.
        """
        picture = self.picture(place.image)
        if picture is None:
            return None
        truth = self._boxes.truth
        objects = [self.object_box(number) for number in place.objects[:_MOST_BOXES]]
        wrong = [self.found_box(row) for row in place.rows[:_MOST_BOXES]]
        caption = f"{truth.file_names[place.image]}: {caption}"
        return judged_panel(picture, next(self._numbers), objects, wrong, one_line(caption))

    def picture(self, image: int) -> StudyPicture | None:
        """Returns an image with its ground truth; None where it is not at hand."""
        truth = self._boxes.truth
        name = truth.file_names[image]
        if self._folder is None or not name or name_flaw(name) or leaves_folder(name):
            return None
        try:
            opened = open_rgb(str(self._folder / name))
        except (UnreadableImage, OSError):
            return None
        objects = (truth.images == image).nonzero()[0][:_MOST_BOXES].tolist()
        boxes = tuple(self.object_box(number) for number in objects)
        address = small_address(opened, _SIDE)
        return StudyPicture(one_line(name), *opened.size, address, boxes, ())

    def object_box(self, number: int) -> StudyBox:
        """Returns an object of the ground truth."""
        truth = self._boxes.truth
        return StudyBox(_box(truth.boxes[number]), self._class(truth.classes[number]), None)

    def found_box(self, row: int) -> StudyBox:
        """Returns a detection."""
        boxes = self._boxes
        name = self._class(boxes.classes[row])
        return StudyBox(_box(boxes.boxes[row]), name, float(boxes.scores[row]))

    def said_of(self, kind: int, place: Place) -> str:
        """Returns what is wrong at a place, in a few words."""
        names = [self.object_box(number).name for number in place.objects]
        if kind == MISSED:
            return f"{len(names)} not found: {_counted(names)}"
        found = self.found_box(place.rows[0])
        said = f"{found.name} {100 * (found.score or 0):.0f} %"
        if not names:
            return f"{said} on nothing"
        words = {"classification": "on", "both": "near", "localisation": "badly on"}
        return f"{said} {words.get(KINDS[kind], 'once more on')} {names[0]}"

    def _class(self, number: int) -> str:
        return one_line(self._boxes.truth.class_names[int(number)])


def _box(values: Iterable[float]) -> tuple[float, float, float, float]:
    x, y, width, height = map(float, values)
    return x, y, width, height


def _counted(names: Sequence[str]) -> str:
    counts = {name: names.count(name) for name in names}
    return ", ".join(name if n == 1 else f"{n} {name}" for name, n in counts.items())
