"""What can be wrong with the layout and ids of a COCO annotation file. Engine-neutral."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torchvision.datasets.folder import IMG_EXTENSIONS

from resnext_det.data.catalog import DatasetEntry, is_one_line
from resnext_det.data.coco_problems import FIX, Problem, ProblemKind, refuse_first
from resnext_det.errors import UserError

_Keys = Mapping[str, tuple[type, ...]]
_LARGEST_ID = 2**63  # evaluators count in 64 bits
_NEEDED: Mapping[str, _Keys] = {
    "images": {
        "id": (int, str),
        "file_name": (str,),
        "height": (int, float, bool),  # True is refused with the other values
        "width": (int, float, bool),
    },
    "annotations": {
        "id": (int, str),
        "image_id": (int, str),
        "category_id": (int,),
        "bbox": (list,),
    },
    "categories": {"id": (int,), "name": (str,)},
}
_UNIQUE = {"category": "give each its own, and the annotations that mean it"}
_SINGULAR = {"images": "image", "annotations": "annotation", "categories": "category"}


def check_layout(path: Path, content: Any) -> None:
    """Checks that the content is an object with COCO's lists and their needed keys.

    Raises:
        UserError: something is missing or of another type.
    """
    refuse_first(path, layout_problems(content))


def layout_problems(content: Any) -> Iterator[Problem]:
    """Yields what is missing of COCO's lists and their needed keys, or of another type."""
    if not isinstance(content, dict):
        yield Problem(
            ProblemKind.LAYOUT,
            "",
            f"not COCO: the top level is a {type(content).__name__}, not an object with 'images', "
            "'annotations' and 'categories'",
            "write it as COCO does",
        )
        return
    for section, keys in _NEEDED.items():
        if not isinstance(content.get(section), list):
            problem = "is not a list" if section in content else "is missing"
            where = f"not COCO: the key '{section}'"
            yield Problem(ProblemKind.LAYOUT, where, problem, "write a list")
            continue
        for number, item in enumerate(content[section]):
            key = _unsound_key(item, keys)
            if key is not None:
                yield _item_problem(f"{section}[{number}]", item, key)
    for section in ("images", "categories"):
        if content.get(section) == []:
            where = f"'{section}'"
            yield Problem(ProblemKind.EMPTY_SECTION, where, "is empty", "write what there is")
    for category in sound_items(content, "categories"):
        if not is_one_line(category["name"]):  # tables, logs and JSON hold it
            yield Problem(
                ProblemKind.CLASS_NAME,
                f"category id {category['id']}",
                f"has the name {category['name']!r}, which is not one line of text",
                "rename it",
            )


def sound_items(content: Any, section: str) -> list[dict[str, Any]]:
    """Returns the items of one of COCO's lists that have their needed keys."""
    items = content.get(section) if isinstance(content, dict) else None
    keys = _NEEDED[section]
    if not isinstance(items, list):
        return []
    return [item for item in items if _unsound_key(item, keys) is None]


def unsound_ids(content: Any, section: str) -> set[int | str]:
    """Returns the ids, where they are ids, of items of a list that lack another needed key."""
    items = content.get(section) if isinstance(content, dict) else None
    return {
        item["id"]
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, dict)
        and type(item.get("id")) in _NEEDED[section]["id"]
        and _unsound_key(item, _NEEDED[section]) is not None
    }


def _unsound_key(item: Any, keys: _Keys) -> str | None:
    """Returns the first key that is missing or of another type; "" where there can be none."""
    if not isinstance(item, dict):
        return ""
    for key, kinds in keys.items():
        if type(item.get(key)) not in kinds:  # a truth value is an int to isinstance
            return key
    return None


def _item_problem(place: str, item: Any, key: str) -> Problem:
    if not key:
        where = f"not COCO: {place}"
        return Problem(ProblemKind.LAYOUT, where, "is not an object", f"take it out; {FIX} does")
    problem = f"is {item[key]!r}" if key in item else "is missing"
    image_id = item.get("image_id")
    known = image_id if isinstance(image_id, int | str) else None
    where, advice = f"not COCO: '{key}' of {place}", f"mend it; {FIX} writes a mended copy"
    return Problem(ProblemKind.LAYOUT, where, problem, advice, known)


def id_problems(
    name: str, content: dict[str, Any], told: Mapping[str, Collection[Any]] | None = None
) -> Iterator[Problem]:
    """Yields ids that repeat or refer to nothing, or mix numbers and texts, which have no order.

    The two COCO 2014 "minival" files repeat annotation ids, and are known to.

    Args:
        name: of the file.
        content: what it holds, after `layout_problems`.
        told: section -> ids of its entries that are left out of the content, told already.
    """
    numbers = [image["id"] for image in content["images"] if isinstance(image["id"], int)]
    texts = [image["id"] for image in content["images"] if isinstance(image["id"], str)]
    if numbers and texts:
        yield Problem(
            ProblemKind.MIXED_IDS,
            "",
            f"image ids are partly numbers and partly texts, as {numbers[0]!r} and {texts[0]!r}",
            "write all of them as one or the other",
        )
    for section, what in _SINGULAR.items():
        for item in content[section]:
            if type(item["id"]) is int and not in_range(item["id"]):
                yield Problem(
                    ProblemKind.ID_RANGE,
                    f"{what} id {str(item['id'])[:30]}…",
                    "is beyond 64 bits",
                    "write a smaller one",
                )
        if section != "annotations" or "minival" not in name:
            yield from repeated_ids(what, (item["id"] for item in content[section]))
    for key, section, kind in (
        ("image_id", "images", ProblemKind.UNKNOWN_IMAGE),
        ("category_id", "categories", ProblemKind.UNKNOWN_CATEGORY),
    ):
        known = {item["id"] for item in content[section]}.union((told or {}).get(section, ()))
        for item in content["annotations"]:
            if item[key] not in known:
                yield Problem(
                    kind,
                    f"annotation {item['id']}",
                    f"has {key} {item[key]}, which is not in '{section}'",
                    f"add it there, or take the annotation out; {FIX} takes it out",
                    item["image_id"] if section == "categories" else None,
                )
    for item in content["annotations"]:
        if item.get("ignore"):
            yield Problem(
                ProblemKind.IGNORED,
                f"annotation {item['id']}",
                "is marked 'ignore', which Detectron2 does not support",
                "mark it iscrowd or remove it",
                item["image_id"],
            )


def in_range(number: int) -> bool:
    """Returns whether an id is one that evaluators can count with."""
    return -_LARGEST_ID <= number < _LARGEST_ID


def check_unique(path: Path, what: str, ids: Iterable[int | str]) -> None:
    """Checks that no id is used twice.

    Raises:
        UserError: one is; names the first and their number.
    """
    refuse_first(path, repeated_ids(what, ids))


def repeated_ids(what: str, ids: Iterable[int | str]) -> Iterator[Problem]:
    """Yields each id that is used more than once."""
    for key, count in Counter(ids).items():
        if count > 1:
            yield Problem(
                ProblemKind.REPEATED_ID,
                f"{what} id {key}",
                "is used more than once",
                _UNIQUE.get(what, f"give each its own; {FIX} does"),
            )


def absent(
    asked: Sequence[dict[str, Any]],
    key: str,
    kinds: tuple[ProblemKind, ProblemKind],
    need: str,
    *,
    mend_all: str,
    mend_some: str | None = None,
    article: str = "",
) -> Iterator[Problem]:
    """Yields annotations without what a detector needs of them; all of them as one problem.

    Args:
        asked: the annotations that have to have it.
        key: what: "segmentation", "keypoints".
        kinds: of the problem where some have none, and where none has any.
        need: the setting that needs it.
        mend_all: what to do where none has it.
        mend_some: what to do where some have; `mend_all` when not given.
        article: before the key, "a ".
    """
    without = [annotation for annotation in asked if not annotation.get(key)]
    if without and len(without) == len(asked):
        yield Problem(
            kinds[1],
            f"none of the {len(asked)} annotations",
            f"has {article}'{key}', which {need} needs",
            mend_all,
        )
        return
    for annotation in without:
        yield Problem(
            kinds[0],
            f"annotation {annotation['id']}",
            f"has no '{key}', which {need} needs",
            mend_some or mend_all,
            annotation["image_id"],
        )


def check_images_exist(entry: DatasetEntry, file_names: Sequence[str]) -> None:
    """Checks that every image is in its folder, one directory listing per folder.

    Raises:
        UserError: images are missing; names the first and their number.
    """
    check_files_exist(entry.image_root, file_names, f"images that {entry.json_file} names")


def check_files_exist(folder: Path, file_names: Sequence[str], what: str) -> None:
    """Checks that files are below a folder, one directory listing per folder.

    Args:
        folder: where they should lie.
        file_names: their paths below it.
        what: their name in the message, in the plural.

    Raises:
        UserError: files are missing; names the first and their number.
    """
    listings: dict[Path, set[str]] = {}
    missing = []
    for file_name in file_names:
        path = folder / file_name
        if path.parent not in listings:
            listings[path.parent] = _files_in(path.parent)
        if path.name not in listings[path.parent]:
            missing.append(file_name)
    if missing:
        raise UserError(
            f"{folder}: {len(missing)} of the {len(file_names)} {what} are not there, the first "
            f"is '{missing[0]}'; put them there, or take their entries out"
        )


def count_unlisted(folder: Path, file_names: Sequence[str]) -> int:
    """Returns how many images lie directly in a folder without being listed.

    Args:
        folder: of the images.
        file_names: their paths below it.
    """
    listed = {
        os.path.relpath(folder / name, folder) if "/" in name else name for name in file_names
    }
    there = (name for name in _files_in(folder) if name.lower().endswith(IMG_EXTENSIONS))
    return sum(name not in listed for name in there)


def _files_in(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as items:
        return {item.name for item in items if not _is_folder(item)}


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link that leads to itself; whoever reads it says so
        return False
