"""The names of the classes of shards, whose samples hold numbers only. Engine-neutral."""

from collections.abc import Sequence
from pathlib import Path

from resnext_det.data.catalog import is_one_line
from resnext_det.errors import UserError
from resnext_det.json_files import read_json

CLASS_NAMES = "classnames.txt"


def names_of_classes(
    given: Sequence[str] | None, largest_label: int, shown: str
) -> tuple[str, ...]:
    """Returns the class names: those given, or the numbers with leading zeros.

    Raises:
        UserError: a label has no name.
    """
    if given is None:
        width = len(str(largest_label))
        return tuple(str(number).zfill(width) for number in range(largest_label + 1))
    if largest_label >= len(given):
        raise UserError(
            f"{shown}: a label is {largest_label}, but there are {len(given)} class names"
        )
    return tuple(given)


def class_names_beside(folder: Path) -> tuple[str, ...] | None:
    """Returns the names in `classnames.txt`; None where there is no such file."""
    path = folder / CLASS_NAMES
    return read_class_names(path) if path.is_file() else None


def read_class_names(path: Path) -> tuple[str, ...]:
    """Reads class names, a line each or a JSON list, in the order of the class numbers.

    Raises:
        UserError: the file cannot be read, is empty, or names a class twice.
    """
    names = read_json(path) if path.suffix == ".json" else _lines(path)
    if not isinstance(names, list) or not names:
        raise UserError(f"{path}: no list of class names")
    seen: set[str] = set()
    for number, name in enumerate(names):
        if not isinstance(name, str) or not name or not is_one_line(name) or name in seen:
            raise UserError(
                f"{path}: name {number} is {str(name)[:40]!r}: empty, no text, or there twice"
            )
        seen.add(name)
    return tuple(names)


def _lines(path: Path) -> Sequence[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UserError(f"{path}: cannot be read ({reason})") from error
    return [line.strip() for line in text.rstrip().splitlines()]
