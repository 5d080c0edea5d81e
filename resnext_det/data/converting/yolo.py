"""Labels in YOLO's text form, a file for each photograph. Engine-neutral.

A line is the number of a class and, in shares of the image's sides, a box by its centre, width
and height, or the corners of an outline: `class cx cy w h` or `class x0 y0 x1 y1 x2 y2 …`
(Ultralytics, "Object Detection Datasets" and "Instance Segmentation Datasets").
"""

import math
import posixpath
from collections.abc import Sequence
from pathlib import PurePosixPath

from resnext_det.data.converting.folder import Folder
from resnext_det.data.converting.labels import Corners, Found, Label, LabelledImage, Notes
from resnext_det.data.converting.text_files import read_lines
from resnext_det.data.converting.voc import NO_IMAGE
from resnext_det.data.converting.yolo_names import read_settings
from resnext_det.errors import UserError

_NO_LABELS = ("classes.txt", "labels.txt", "train.txt", "val.txt", "test.txt", "trainval.txt")
_FAR = 1.5  # shares; what lies further out is counted in pixels
_BOX = 5


def is_yolo_file(folder: Folder, name: str) -> bool:
    """Tells whether a text file holds labels, by its place, its photograph or its first line."""
    path = PurePosixPath(name)
    if path.name in _NO_LABELS or "ImageSets" in path.parts:
        return False
    if "labels" in path.parts[:-1] or folder.is_stem(path.stem):
        return True
    words = next((line for line in read_lines(folder.root, name) if line), "").split()
    return len(words) >= _BOX and all(_is_number(word) for word in words)


def read_yolo(folder: Folder, notes: Notes, given: Sequence[str] | None = None) -> Found:
    """Reads all files of labels below a folder.

    Args:
        folder: its text files may lie anywhere below it.
        notes: takes what was mended or left out.
        given: names of the classes; None: those that the folder names.

    Raises:
        UserError: a file is not YOLO's, or may mean several photographs; no class has a name.
    """
    settings = read_settings(folder, given)
    names = settings.class_names
    if not names:
        raise UserError(
            f"{folder.root}: names no class (data.yaml, classes.txt or obj.names); give a file "
            "with one on each line as --classes"
        )
    by = settings.file if given is None else "--classes"
    lines = _Lines(names, by, has_keypoints=settings.has_keypoints)
    files = [name for name in folder.with_ending(".txt") if is_yolo_file(folder, name)]
    images = []
    for name in files:
        image = folder.image_of(name)
        if image is None:
            notes.add(NO_IMAGE, name)
            continue
        labels = tuple(lines.read(folder, name))
        images.append(LabelledImage(image, name, labels, in_shares=True))
    notes.refuse_most(NO_IMAGE, len(files), "name the folder of the images as --images")
    read = (*files, *filter(None, [settings.file]))
    return Found(tuple(images), names, settings.splits, read)


class _Lines:
    """Reads lines of labels.

    Args:
        names: of the classes.
        by: what names them, for messages.
        has_keypoints: numbers behind a box are those of keypoints, which are left out.
    """

    def __init__(self, names: tuple[str, ...], by: str, *, has_keypoints: bool) -> None:
        self._names, self._by, self._has_keypoints = names, by, has_keypoints

    def read(self, folder: Folder, name: str) -> list[Label]:
        """Reads a file; one that is empty says that there is nothing in its photograph."""
        return [
            self._label(line.split(), f"{folder.root / name}: line {number}")
            for number, line in enumerate(read_lines(folder.root, name), start=1)
            if line
        ]

    def _label(self, words: list[str], where: str) -> Label:
        values = [float(word) if _is_number(word) else math.nan for word in words]
        bad = next((w for w, v in zip(words, values, strict=True) if not math.isfinite(v)), None)
        if bad is not None:
            raise UserError(f"{where}: {bad[:40]!r} is not a number")
        class_name = self._class(values[0], words[0], where)
        shares = values[1:_BOX] if self._has_keypoints else values[1:]
        if len(values) == _BOX + 1 and not self._has_keypoints:
            raise UserError(
                f"{where}: has 6 values, as predictions with scores have; a label has 5, or an "
                "outline's corners"
            )
        if len(shares) < 4 or len(shares) % 2:
            raise UserError(f"{where}: has {len(words)} values, neither a box nor an outline")
        far = max(shares, key=abs)
        if abs(far) > _FAR:
            raise UserError(f"{where}: {far:g} is no share of the image's side, 0 to 1 (pixels?)")
        if len(shares) == 4:
            return Label(where, class_name, _centred(shares))
        xs, ys = shares[::2], shares[1::2]
        box = (min(xs), min(ys), max(xs), max(ys))
        return Label(where, class_name, box, (tuple(shares),))

    def _class(self, number: float, word: str, where: str) -> str:
        if not number.is_integer() or not 0 <= number < len(self._names):
            raise UserError(
                f"{where}: class {word[:40]} is unknown; {posixpath.basename(self._by)} names "
                f"{len(self._names)}, 0 to {len(self._names) - 1}"
            )
        return self._names[int(number)]


def _centred(shares: Sequence[float]) -> Corners:
    x, y, width, height = shares
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word  # which Python reads, and nobody else
