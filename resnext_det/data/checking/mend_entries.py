"""Two entries of one image file made one, where they say the same. Engine-neutral."""

import json
import os
from typing import Any

from resnext_det.data.checking.mend_log import MendLog

Item = dict[str, Any]


def mend_entries(content: dict[str, list[Item]], log: MendLog) -> None:
    """Takes out entries of an image file that add nothing to another entry of it.

    One whose annotations, but for their ids, are all among those of the other, or that has none.
    Where each has some of its own, nothing tells whether these are other objects or the same
    ones drawn twice: both stay.

    Args:
        content: of a COCO file, after its ids, images and objects were mended.
        log: takes what was done.
    """
    said: dict[int | str, set[str]] = {item["id"]: set() for item in content["images"]}
    for annotation in content["annotations"]:
        said[annotation["image_id"]].add(_without_ids(annotation))
    kept: dict[str, list[Item]] = {}
    gone: set[int | str] = set()
    for item in content["images"]:
        entries = kept.setdefault(os.path.normpath(item["file_name"]), [])
        for other in entries:
            if _size(item) != _size(other):
                continue
            more, less = (other, item) if said[item["id"]] <= said[other["id"]] else (item, other)
            if said[less["id"]] <= said[more["id"]]:
                log.add("entry_of_one_file", f"image {less['id']}: is image {more['id']}, too")
                gone.add(less["id"])
                entries[:] = [more if entry is less else entry for entry in entries]
                break
        else:
            entries.append(item)
    content["images"] = [item for item in content["images"] if item["id"] not in gone]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] not in gone]


def _size(image: Item) -> tuple[float, float]:
    return image["height"], image["width"]


def _without_ids(annotation: Item) -> str:
    told = {key: value for key, value in annotation.items() if key not in ("id", "image_id")}
    return json.dumps(told, sort_keys=True)
