"""Ids of an annotation file put right: missing, repeated, mixed, too large. Engine-neutral."""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from resnext_det.data.checking.mend_log import MendLog
from resnext_det.data.checking.mend_numbers import as_number
from resnext_det.data.coco_checks import in_range

Item = dict[str, Any]
_SMALL = 2**62  # an id that leaves room for greater ones
_SINGULAR = {"images": "image", "annotations": "annotation", "categories": "category"}


def mend_ids(content: dict[str, list[Item]], log: MendLog) -> None:
    """Makes ids unique, of one type, and known wherever they are named.

    Of images that share an id the annotations stay with the first. Annotations that name an
    image or a category that is not there are taken out.
    """
    _mend_category_ids(content, log)
    _mend_image_ids(content, log)
    for key, section, kind in (
        ("image_id", "images", "unknown_image"),
        ("category_id", "categories", "unknown_category"),
    ):
        known = {item["id"] for item in content[section]}
        content["annotations"] = list(_of_known(content["annotations"], key, known, kind, log))
    annotations = content["annotations"]
    unused = _unused(item.get("id") for item in annotations)
    _give_ids("annotations", annotations, unused, log)
    _shrink("annotations", annotations, unused, {}, log)
    _renumber("annotations", annotations, unused, log)


def _mend_category_ids(content: dict[str, list[Item]], log: MendLog) -> None:
    """Category ids are whole numbers; those of texts are numbered, and the annotations follow."""
    categories, changed = content["categories"], {}
    for item in categories:
        found = _whole(item.get("id"))
        if found is not None and found is not item["id"]:
            log.add("number_as_text", f"id {item['id']!r} of category {item.get('name')!r}")
            changed[_key(item["id"])] = item["id"] = found
    texts = [item for item in categories if isinstance(item.get("id"), str)]
    unused = _unused_of(content, "categories", "category_id")
    _shrink("categories", categories, unused, changed, log)
    for item, new in zip(texts, unused, strict=False):
        log.renumber("categories", item["id"], new)
        log.add("id_alike", f"category {item.get('name')!r}")
        changed[_key(item["id"])] = item["id"] = new
    _give_ids("categories", categories, unused, log)
    content["categories"] = _without_copies("categories", categories, log, keys=("id", "name"))
    known = {item["id"] for item in content["categories"]}
    for item in content["annotations"]:
        _follow(item, "category_id", changed, known, log)


def _mend_image_ids(content: dict[str, list[Item]], log: MendLog) -> None:
    images = content["images"]
    content["images"] = images = _without_copies("images", images, log)
    unused = _unused_of(content, "images", "image_id")
    _give_ids("images", images, unused, log)
    changed: dict[Any, Any] = {}
    _shrink("images", images, unused, changed, log)
    numbers = [item for item in images if isinstance(item["id"], int)]
    texts = [item for item in images if isinstance(item["id"], str)]
    if numbers and texts:
        as_numbers = [_whole(item["id"]) for item in texts]
        taken = {item["id"] for item in numbers}
        all_whole = None not in as_numbers and not taken & set(as_numbers)
        for item in texts if all_whole else numbers:
            new = _whole(item["id"]) if all_whole else str(item["id"])
            log.renumber("images", item["id"], new)
            log.add("id_alike", f"image {item.get('file_name')}")
            changed[_key(item["id"])] = item["id"] = new
    known = {item["id"] for item in images}
    for item in content["annotations"]:
        _follow(item, "image_id", changed, known, log)
    _renumber("images", images, unused, log)


def _follow(item: Item, key: str, changed: dict[Any, Any], known: set[Any], log: MendLog) -> None:
    """Makes an annotation name what it named before the ids changed, or was meant to name."""
    value = item.get(key)
    followed = False
    while _key(value) in changed:  # twice where a smaller number became a text
        item[key] = value = changed[_key(value)]
        followed = True
    if not followed and (not _is_id(value) or value not in known):
        # 5.0 and "5" mean 5 where there is no other.
        for other in (_whole(value), str(value) if isinstance(value, int) else None):
            if other is not None and other in known:
                log.add("number_as_text", f"{key} {value!r} of annotation {item.get('id')}")
                item[key] = other
                return


def _of_known(
    items: Iterable[Item], key: str, known: set[Any], kind: str, log: MendLog
) -> Iterator[Item]:
    for item in items:
        if _is_id(item.get(key)) and item[key] in known:
            yield item
        else:
            log.add(kind, f"annotation {item.get('id')}: {key} {item.get(key)!r}")


def _without_copies(
    section: str, items: list[Item], log: MendLog, keys: tuple[str, ...] | None = None
) -> list[Item]:
    """Leaves out entries that are alike in all keys, or in those given."""
    kept = []
    first: dict[Any, list[Item]] = {}
    for item in items:
        if not _is_id(item.get("id")):
            kept.append(item)
            continue
        shown = item if keys is None else {key: item.get(key) for key in keys}
        alike = first.setdefault(_key(item.get("id")), [])
        if shown in alike:
            log.add("entry_twice", f"{_SINGULAR[section]} {item.get('id')}")
        else:
            alike.append(shown)
            kept.append(item)
    return kept


def _give_ids(section: str, items: list[Item], unused: Iterator[int], log: MendLog) -> None:
    """Gives ids to those that have none."""
    without = [item for item in items if not _is_id(item.get("id"))]
    for item, new in zip(without, unused, strict=False):
        whole = _whole(item.get("id"))
        item["id"] = new if whole is None else whole
        log.add("id_given", f"{_SINGULAR[section]} {item['id']}")


def _shrink(
    section: str, items: list[Item], unused: Iterator[int], changed: dict[Any, Any], log: MendLog
) -> None:
    """Gives a new id for each one beyond 64 bits; entries that share one go on to do so."""
    made: dict[int, int] = {}
    for item in items:
        old = item.get("id")
        if isinstance(old, int) and not in_range(old):
            if old not in made:
                made[old] = changed[_key(old)] = next(unused)
                log.renumber(section, old, made[old])
            log.add("id_range", f"{_SINGULAR[section]} {old} is {made[old]}")
            item["id"] = made[old]


def _renumber(section: str, items: list[Item], unused: Iterator[int], log: MendLog) -> None:
    """Gives a new id to every entry whose id another one before it has."""
    taken: set[Any] = set()
    for item in items:
        if item["id"] in taken:
            new = next(unused)
            new = str(new) if isinstance(item["id"], str) else new
            log.renumber(section, item["id"], new)
            log.add("id_renumbered", f"{_SINGULAR[section]} {item['id']} is {new}")
            item["id"] = new
        taken.add(item["id"])


def _unused_of(content: dict[str, list[Item]], section: str, key: str) -> Iterator[int]:
    """Yields ids that no entry has, and that no annotation names: it would change its owner."""
    ids = [item.get("id") for item in content[section]]
    return _unused([*ids, *(item.get(key) for item in content["annotations"])])


def _unused(ids: Iterable[Any]) -> Iterator[int]:
    """Returns whole numbers above every small id that is one, or is the text of one."""
    whole = {value for value in map(_whole, ids) if value is not None}
    first = 1 + max((value for value in whole if value < _SMALL), default=0)
    return (value for value in count(first) if value not in whole)


def _whole(value: Any) -> int | None:
    """Returns what is a whole number, however it is written."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = as_number(value)
    if number is None or number != int(number) or not in_range(int(number)):
        return None
    return int(number)


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _key(value: Any) -> Any:
    """What a value is known by: 1, True and "1" are three; lists are none."""
    return (type(value).__name__, value) if isinstance(value, int | float | str) else None
