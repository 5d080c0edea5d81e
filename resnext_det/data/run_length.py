"""COCO's run-length masks, checked without drawing them. Engine-neutral.

The runs alternate between background and object, column by column, background first. They
are a list of numbers, or a text that packs them (cocoapi, common/maskApi.c, rleToString).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as pycocotools_mask

_FIRST = 48
"""Every character is this plus 6 bits: 5 of the number, lowest first, and one for "more"."""


def run_length_problem(mask: dict[str, Any], height: int, width: int) -> str | None:
    """Says what is wrong with a run-length object, or None.

    Args:
        mask: with `size` (height, width) and `counts`.
        height: rows of its image.
        width: columns of its image.
    """
    if mask.get("size") != [height, width]:
        size = mask.get("size")
        return f"has the size {size}, but the image is [{height}, {width}] (rows, columns)"
    runs = _runs(mask.get("counts"))
    if runs is None:
        return "has 'counts' that are neither whole numbers nor COCO's packed text"
    if (runs < 0).any() or int(runs.sum()) != height * width:
        return f"has runs that do not fill the {height * width} pixels of its image"
    return None


def packed(mask: dict[str, Any]) -> dict[str, Any]:
    """Returns a checked run-length object in its short form, `counts` as bytes."""
    size = [int(length) for length in mask["size"]]  # 64.0 is a length, but not to pycocotools
    if isinstance(mask["counts"], list):
        pack: Any = pycocotools_mask.frPyObjects  # typed for lists alone
        return pack({"size": size, "counts": mask["counts"]}, *size)
    return {"size": size, "counts": mask["counts"].encode("ascii")}


def _runs(counts: Any) -> NDArray[np.int64] | None:
    """Returns the lengths of the runs; None where they cannot be read."""
    if isinstance(counts, str):
        return _unpack(counts)
    if not isinstance(counts, list) or not all(type(run) is int for run in counts):
        return None
    return np.array([min(max(run, -1), 2**32) for run in counts], dtype=np.int64)


def _unpack(text: str) -> NDArray[np.int64] | None:
    codes = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int64) - _FIRST
    if not len(codes) or (codes < 0).any() or (codes >= 64).any() or codes[-1] & 0x20:
        return None
    ends = np.flatnonzero((codes & 0x20) == 0)  # last character of each number
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    if place.max() > 6:  # no run is longer than 2**32
        return None
    numbers = np.add.reduceat((codes & 0x1F) << (5 * place), starts)
    negative = (codes[ends] & 0x10) != 0
    numbers[negative] -= 1 << (5 * (place[ends][negative] + 1))
    # From the fourth on, each is the difference to the run two before it.
    numbers[1::2] = numbers[1::2].cumsum()
    numbers[2::2] = numbers[2::2].cumsum()
    return numbers
