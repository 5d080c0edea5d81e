"""The annotations of a file put right: boxes, crowds, areas, outlines. Engine-neutral."""

from collections.abc import Collection, Mapping
from typing import Any

from resnext_det.data.checking.mend_log import MendLog
from resnext_det.data.checking.mend_numbers import as_number
from resnext_det.data.coco_boxes import OVERHANG, has_four_numbers, seem_corners
from resnext_det.data.coco_values import is_outline

Item = dict[str, Any]
_SHORTEST = 6  # numbers of a polygon: three points


def mend_objects(
    content: dict[str, list[Item]],
    log: MendLog,
    *,
    masks: bool,
    doubtful: Collection[Any] = (),
    published: bool = False,
) -> None:
    """Mends every annotation, after ids and images; those without a usable box are taken out.

    Args:
        content: changed in place.
        log: takes what was done.
        masks: whether masks are needed: a segmentation that is none then stays, because leaving
            it out would only make it another problem.
        doubtful: ids of images whose size is not sure: boxes are not clipped to it.
        published: its boxes are known to be x, y, width, height.
    """
    sizes = {
        item["id"]: None if item["id"] in doubtful else (item["width"], item["height"])
        for item in content["images"]
    }
    kept = []
    corners = not published and seem_corners(content)
    for item in content["annotations"]:
        _mend_crowd(item, log)
        _mend_outline(item, log, masks=masks)
        old = _plain_area(item)
        if corners and has_four_numbers(item):
            x, y, right, bottom = item["bbox"]
            log.add("box_corners", f"annotation {item['id']}: {item['bbox']}")
            item["bbox"] = [x, y, right - x, bottom - y]
        if _mend_box(item, sizes[item["image_id"]], log):
            _mend_area(item, old, log)
            kept.append(item)
    content["annotations"] = kept


def _mend_crowd(item: Item, log: MendLog) -> None:
    where = f"annotation {item['id']}"
    if item.get("ignore"):
        log.add("ignored", where)
        item["iscrowd"] = 1
    item.pop("ignore", None)
    if "iscrowd" not in item:
        return
    value = item["iscrowd"]
    number = {True: 1, False: 0}.get(value) if isinstance(value, bool) else as_number(value)
    if value is None or number in (0, 1):
        mended = int(number or 0)
        if type(value) is not int:
            log.add("iscrowd", f"{where}: {value!r} is {mended}")
        item["iscrowd"] = mended


def _mend_outline(item: Item, log: MendLog, *, masks: bool) -> None:
    outline, where = item.get("segmentation"), f"annotation {item['id']}"
    if not is_outline(outline):
        if not masks:
            log.add("segmentation", where)
            del item["segmentation"]
        return
    if not isinstance(outline, list) or not outline:
        return
    sound = [p for p in outline if len(p) >= _SHORTEST and len(p) % 2 == 0]
    if len(sound) == len(outline) or (masks and not sound):
        return
    log.add("polygon", f"{where}: {len(outline) - len(sound)}")
    if sound:
        item["segmentation"] = sound
    else:  # a run would leave the object out, whose box is sound
        del item["segmentation"]


def _mend_box(item: Item, size: tuple[float, float] | None, log: MendLog) -> bool:
    """Returns whether the annotation has a usable box now."""
    where = f"annotation {item['id']}"
    box = _numbers(item, log)
    if box is None:
        box = _around(item.get("segmentation"))
        if box is None:
            log.add("box_removed", f"{where}: {item.get('bbox')!r} is not four finite numbers")
            return False
        log.add("box_from_polygons", where)
    if item.get("iscrowd"):  # never trained on, and checked for its numbers alone
        item["bbox"] = box
        return True
    x, y, width, height = box
    if width < 0 or height < 0:
        log.add("box_swapped", f"{where}: {box}")
        x, y = min(x, x + width), min(y, y + height)
        width, height = abs(width), abs(height)
    if width == 0 or height == 0:
        log.add("box_removed", f"{where}: {box} has no size")
        return False
    item["bbox"] = [x, y, width, height]
    return size is None or _clip(item, size, log)


def _clip(item: Item, size: tuple[float, float], log: MendLog) -> bool:
    """Clips a box to its image; returns whether something of it is left."""
    x, y, width, height = box = item["bbox"]
    right, bottom = min(x + width, size[0]), min(y + height, size[1])
    left, top = max(x, 0), max(y, 0)
    if right <= left or bottom <= top:
        log.add("box_removed", f"annotation {item['id']}: {box} lies wholly outside the image")
        return False
    if max(-x, -y, x + width - size[0], y + height - size[1]) > OVERHANG:
        log.add("box_clipped", f"annotation {item['id']}: {box}")
        item["bbox"] = [left, top, right - left, bottom - top]
    return True


def _numbers(item: Item, log: MendLog) -> list[float | int] | None:
    box = item.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        return None
    numbers = [as_number(value) for value in box]
    if any(number is None for number in numbers):
        return None
    if any(isinstance(value, str) for value in box):
        log.add("number_as_text", f"bbox of annotation {item['id']}")
    return [number for number in numbers if number is not None]


def _around(outline: Any) -> list[float | int] | None:
    """Returns the box around polygons; None where there is none, or not of numbers alone."""
    if not isinstance(outline, list) or not outline:
        return None
    values = [[as_number(value) for value in polygon] for polygon in outline]
    xs = [x for polygon in values for x in polygon[::2]]
    ys = [y for polygon in values for y in polygon[1::2]]
    if not ys or None in xs or None in ys:
        return None
    left, top = min(xs), min(ys)  # type: ignore[type-var]
    return [left, top, max(xs) - left, max(ys) - top]  # type: ignore[type-var, operator]


def _plain_area(item: Mapping[str, Any]) -> float | None:
    """Returns width x height of a box as it was, where these are numbers."""
    box = item.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        return None
    width, height = as_number(box[2]), as_number(box[3])
    return None if width is None or height is None else abs(width * height)


def _mend_area(item: Item, old: float | None, log: MendLog) -> None:
    """Writes an area as a number; one that was width x height of the box follows the box."""
    if "area" not in item:
        return
    where, value = f"annotation {item['id']}", item["area"]
    number = as_number(value)
    if number is None:
        log.add("area", f"{where}: {value!r}")
        del item["area"]
        return
    if isinstance(value, str):
        log.add("number_as_text", f"area of {where}")
    _, _, width, height = item["bbox"]
    follows = old is not None and abs(abs(number) - old) <= 1e-6 * max(1.0, old)
    item["area"] = width * height if follows and width * height != old else number
