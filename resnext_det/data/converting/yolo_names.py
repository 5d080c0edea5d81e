"""The names of YOLO's classes, and where its splits lie. Engine-neutral.

They stand in a `data.yaml` (`names`, `train`, `val`, `test`), in a `classes.txt`, or in an
`obj.names`, one on each line.
"""

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from resnext_det.config.plain_yaml import NotPlainYAMLError, read_plain_yaml
from resnext_det.data.converting.folder import Folder
from resnext_det.data.converting.labels import checked_class
from resnext_det.data.converting.text_files import read_lines, read_text
from resnext_det.errors import UserError, few

_LISTS = ("classes.txt", "obj.names", "labels.txt")
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class YoloSettings:
    """What stands beside the labels.

    Attributes:
        file: that says it, relative to the folder; "" for none.
        class_names: by number.
        has_keypoints: labels have keypoints behind each box.
        splits: name -> names of images.
    """

    file: str
    class_names: tuple[str, ...]
    has_keypoints: bool
    splits: Mapping[str, frozenset[str]]


def read_settings(folder: Folder, given: Sequence[str] | None = None) -> YoloSettings:
    """Finds the names of the classes and the splits below a folder.

    Args:
        folder: of the set.
        given: names that go before those that the folder names.

    Raises:
        UserError: there are several files of names that differ, or one cannot be read.
    """
    found = {}
    for name in folder.with_ending(".yaml", ".yml"):
        settings = _of_yaml(folder, name)
        if settings is not None:
            found[name] = settings
    if not found:
        for name in folder.files:
            if posixpath.basename(name) in _LISTS or name.endswith(".names"):
                found[name] = YoloSettings(name, _of_list(folder, name), False, {})
    if given is None and len({settings.class_names for settings in found.values()}) > 1:
        raise UserError(
            f"{folder.root}: names of classes differ between {few(sorted(found))}; give the file "
            "that is right as --classes"
        )
    nearest = min(found.values(), key=lambda s: (s.file.count("/"), s.file), default=_NONE)
    return nearest if given is None else replace(nearest, class_names=tuple(given))


_NONE = YoloSettings("", (), False, {})


def _of_list(folder: Folder, name: str) -> tuple[str, ...]:
    """Reads one name on each line; a class's number is its line's, so only the end may be blank."""
    shown = str(folder.root / name)
    lines = read_text(folder.root, name).rstrip().splitlines()
    return _all_different([checked_class(line, shown) for line in lines], shown)


def _of_yaml(folder: Folder, name: str) -> YoloSettings | None:
    """Reads a YAML file; None where it names no classes."""
    shown = str(folder.root / name)
    try:
        content = read_plain_yaml(read_text(folder.root, name))
    except NotPlainYAMLError as error:
        line = f" at line {error.line}" if error.line else ""
        raise UserError(f"{shown}: not YAML{line} ({error})") from error
    if not isinstance(content, dict) or "names" not in content:
        return None
    names = _names(content["names"], shown)
    return YoloSettings(name, names, "kpt_shape" in content, _splits(folder, name, content))


def _names(names: Any, shown: str) -> tuple[str, ...]:
    """Takes a list, or a mapping of the numbers from 0."""
    if isinstance(names, dict) and list(names) == list(range(len(names))):
        names = list(names.values())
    if not isinstance(names, list) or not names:
        raise UserError(f"{shown}: 'names' is neither a list nor numbered from 0 without a gap")
    # YAML takes yes, no, on, off and null for other things than words.
    odd = next((name for name in names if type(name) not in (str, int)), names[0])
    if type(odd) not in (str, int):
        raise UserError(f"{shown}: 'names': YAML reads a class as {odd!r}; put it in quotes")
    return _all_different([checked_class(str(name), f"{shown}: 'names'") for name in names], shown)


def _all_different(names: Sequence[str], shown: str) -> tuple[str, ...]:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{shown}: class {twice[0]!r} is named twice; give each a name of its own")
    return tuple(names)


def _splits(folder: Folder, name: str, content: dict[str, Any]) -> dict[str, frozenset[str]]:
    splits = {}
    for split in _SPLITS:
        places = content.get(split)
        places = places if isinstance(places, list) else [places]
        images = [
            image
            for place in places
            if isinstance(place, str)
            for image in _images_at(folder, name, str(content.get("path") or ""), place)
        ]
        if images:
            splits[split] = frozenset(images)
    return splits


def _images_at(folder: Folder, name: str, base: str, place: str) -> list[str]:
    """Returns the images of a split: of a folder, or of a list of images.

    Paths of the machine that a set was made on, and those that begin one folder too high as
    Roboflow writes them, are read by their ends.
    """
    here = posixpath.dirname(name)
    parts = [part for part in PurePosixPath(place).parts if part not in ("/", "..", ".")]
    ends = ["/".join(parts[start:]) for start in range(len(parts))]
    for end in [posixpath.join(base, place), *ends]:
        path = posixpath.normpath(posixpath.join(here, end))
        if path.endswith(".txt") and path in folder.files:
            lines = [line for line in read_lines(folder.root, path) if line]
            return [image for line in lines if (image := _listed(folder, line))]
        below = [image for image in folder.images if image.startswith(f"{path}/")]
        if below:
            return below
    return []


def _listed(folder: Folder, line: str) -> str | None:
    """Returns the image of a list's line, by the longest end of it that is one."""
    parts = [part for part in PurePosixPath(line).parts if part not in ("/", "..", ".")]
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in folder.known), None)
