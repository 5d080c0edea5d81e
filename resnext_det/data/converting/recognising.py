"""Which format the labels of a folder are in, by the heads of its files. Engine-neutral."""

from collections.abc import Callable, Iterable, Mapping

from resnext_det.data.converting.folder import Folder
from resnext_det.data.converting.marking import is_ours
from resnext_det.data.converting.yolo import is_yolo_file
from resnext_det.errors import UserError, few

FORMATS = ("voc", "yolo", "labelme", "coco")
NAMES = {"voc": "VOC", "yolo": "YOLO", "labelme": "labelme", "coco": "COCO"}

_HEAD = 1 << 16  # bytes that are looked at
_FILES = 50  # of each kind that are


def recognise(folder: Folder) -> str:
    """Returns the one format that there are labels of.

    Raises:
        UserError: there are none, or those of several formats.
    """
    found = {name: file for name, is_one in _TESTS.items() if (file := is_one(folder))}
    if not found:
        raise UserError(
            f"{folder.root}: no labels of {', '.join(NAMES.values())} in this folder or below it; "
            "name their folder, and that of the images as --images where it is another"
        )
    if len(found) > 1:
        files = few([f"{NAMES[name]} ({file})" for name, file in found.items()], len(found))
        raise UserError(
            f"{folder.root}: has labels of several formats: {files}; choose one with --from, or "
            "name the folder of one"
        )
    return next(iter(found))


def _first(folder: Folder, names: Iterable[str], *words: bytes) -> str:
    """Returns the first of some files that has one of some words near its beginning."""
    for name in list(names)[:_FILES]:
        head = _head(folder, name)
        if not is_ours(head) and any(word in head for word in words):
            return name
    return ""


def _head(folder: Folder, name: str) -> bytes:
    path = folder.root / name
    try:
        if not path.is_file():  # a pipe would be waited on
            return b""
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _voc(folder: Folder) -> str:
    return _first(folder, folder.with_ending(".xml"), b"<annotation>", b"<annotation ")


def _yolo(folder: Folder) -> str:
    texts = folder.with_ending(".txt")
    return next((name for name in texts if is_yolo_file(folder, name)), "")


def _labelme(folder: Folder) -> str:
    return _first(folder, folder.with_ending(".json"), b'"shapes"')


def _coco(folder: Folder) -> str:
    words = (b'"annotations"', b'"categories"', b'"images"')
    return _first(folder, folder.with_ending(".json"), *words)


_TESTS: Mapping[str, Callable[[Folder], str]] = {
    "voc": _voc,
    "yolo": _yolo,
    "labelme": _labelme,
    "coco": _coco,
}
