"""Labels in Pascal VOC's XML, a file for each photograph. Engine-neutral.

VOC counts pixels from 1, and its corners belong to the object (VOC2012 development kit, section
"Annotation"): an object over a whole image of W columns has xmin 1 and xmax W. Edges are therefore
(xmin - 1, ymin - 1, xmax, ymax). Tools that write VOC's files but count from 0, with edges as
corners, are read with `from_zero`. Objects marked `difficult`, which VOC's scoring leaves out,
become COCO's crowd regions, which are left out in the same way and never trained on.
"""

import math
from collections.abc import Mapping
from pathlib import PurePosixPath
from xml.etree import ElementTree
from xml.parsers import expat

from resnext_det.data.converting.folder import Folder
from resnext_det.data.converting.labels import Corners, Found, Label, LabelledImage, Notes
from resnext_det.data.converting.labels import checked_class as _checked_class
from resnext_det.data.converting.text_files import read_bytes, read_lines
from resnext_det.errors import UserError

ROOT = "annotation"
SPLITS = ("train", "val", "test")
AT_ZERO = (
    "object(s) begin at pixel 0, so these files seem to count from 0, not from 1 as VOC does: "
    "--zero-based reads them so"
)
SWAPPED = "box(es) have their corners swapped, and are read the other way"
DIFFICULT = (
    "object(s) are marked difficult: crowd regions in COCO, which are neither trained on nor scored"
)
NO_IMAGE = "label file(s) have no image, and are left out"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(folder: Folder, notes: Notes, *, from_zero: bool = False) -> Found:
    """Reads all files of labels below a folder.

    Args:
        folder: its XML files may lie anywhere below it.
        notes: takes what was mended or left out.
        from_zero: corners are edges, counted from 0.

    Raises:
        UserError: a file is not XML, or not VOC's, or may mean several photographs.
    """
    images, files = [], []
    for name in folder.with_ending(".xml"):
        root = parse_xml(folder, name)
        if root.tag != ROOT:
            notes.add("XML file(s) are not VOC's, and are left out", name)
            continue
        files.append(name)
        image = folder.image_of(name, (root.findtext("filename") or "").strip())
        if image is None:
            notes.add(NO_IMAGE, name)
            continue
        shown = str(folder.root / name)
        labels = tuple(
            _label(element, f"{shown}: object {number}", notes, from_zero=from_zero)
            for number, element in enumerate(root.iterfind("object"), start=1)
        )
        images.append(LabelledImage(image, name, labels, _size(root, shown)))
    notes.refuse_most(NO_IMAGE, len(files), "name the folder of the images as --images")
    return Found(tuple(images), None, _splits(folder), tuple(files))


def parse_xml(folder: Folder, name: str) -> ElementTree.Element:
    """Parses an XML file that declares nothing, so that it is as long as it looks.

    Raises:
        UserError: it is not XML, or has a document type, which may declare entities that stand for
            gigabytes or for other files; VOC's files have none.
    """
    data = read_bytes(folder.root, name)
    checker = expat.ParserCreate()
    checker.StartDoctypeDeclHandler = _refuse_doctype
    try:
        checker.Parse(data, True)
        return ElementTree.fromstring(data)
    except (expat.ExpatError, ElementTree.ParseError) as error:
        raise UserError(f"{folder.root / name}: not XML, or cut off ({error})") from error
    except (ValueError, LookupError) as error:  # an encoding that nobody knows
        raise UserError(f"{folder.root / name}: cannot be read as XML ({error})") from error


def _refuse_doctype(*_: object) -> None:
    raise ValueError("it declares a document type (<!DOCTYPE); VOC's files have none")


def _label(element: ElementTree.Element, where: str, notes: Notes, *, from_zero: bool) -> Label:
    class_name = _checked_class(element.findtext("name") or "", where)
    where = f"{where} ({class_name})"
    box = element.find("bndbox")
    if box is None:
        raise UserError(f"{where}: has no <bndbox>")
    x0, y0, x1, y1 = (_number(box, corner, where) for corner in _CORNERS)
    if not from_zero and (x0 == 0 or y0 == 0):
        notes.add(AT_ZERO, where)
    if x1 < x0 or y1 < y0:
        notes.add(SWAPPED, where)
    first = 0 if from_zero else 1
    corners: Corners = (min(x0, x1) - first, min(y0, y1) - first, max(x0, x1), max(y0, y1))
    is_difficult = (element.findtext("difficult") or "").strip() == "1"
    if is_difficult:
        notes.add(DIFFICULT, where)
    return Label(where, class_name, corners, is_crowd=is_difficult)


def _number(element: ElementTree.Element, key: str, where: str) -> float:
    text = element.findtext(key)
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        problem = "is missing" if text is None else f"is {text.strip()[:40]!r}, not a number"
        raise UserError(f"{where}: {key} {problem}")
    return number


def _size(root: ElementTree.Element, shown: str) -> tuple[int, int] | None:
    """Returns (width, height); None where the file leaves it out, or at 0 as some tools do."""
    size = root.find("size")
    if size is None:
        return None
    width, height = (int(_number(size, side, f"{shown}: size")) for side in ("width", "height"))
    return (width, height) if width > 0 and height > 0 else None


def _splits(folder: Folder) -> Mapping[str, frozenset[str]]:
    """Reads `ImageSets/Main/train.txt` and its like, which list names without their endings."""
    by_stem: dict[str, list[str]] = {}
    for image in folder.images:
        by_stem.setdefault(PurePosixPath(image).stem, []).append(image)
    splits: dict[str, frozenset[str]] = {}
    for name in folder.with_ending(".txt"):
        path = PurePosixPath(name)
        if path.stem in SPLITS and path.parts[-3:-1] == ("ImageSets", "Main"):
            stems = [line.split()[0] for line in read_lines(folder.root, name) if line]
            splits[path.stem] = frozenset(n for stem in stems for n in by_stem.get(stem, ()))
    return splits
