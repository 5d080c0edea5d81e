"""The masks of a COCO annotation file: polygons and run lengths, checked. Engine-neutral."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.coco_checks import check_present
from resnext_det.data.run_length import packed, run_length_problem
from resnext_det.errors import UserError

Polygons = tuple[NDArray[np.float64], ...]
Outline = Polygons | dict[str, Any]
"""Polygons (2 P,) as x, y, x, y, … in pixels, or a run-length object in its packed form."""

_SHORTEST = 6  # numbers: three points


def check_masks_present(
    path: Path, annotations: Sequence[dict[str, Any]], *, training: bool
) -> None:
    """Checks that every object has a segmentation; a crowd needs one where it is scored.

    Raises:
        UserError: some or all have none.
    """
    check_present(
        path,
        [a for a in annotations if not (training and a.get("iscrowd"))],
        "segmentation",
        "MODEL.MASK_ON True",
        mend_all="use a set with masks, or set MODEL.MASK_ON False",
        article="a ",
    )


def read_outlines(
    path: Path,
    annotations: Sequence[dict[str, Any]],
    sizes: Sequence[tuple[int, int]],
    *,
    tolerant: bool,
    polygons: bool,
) -> list[Outline]:
    """Reads and checks the masks, after `check_masks_present`.

    Args:
        path: the annotation file, for messages.
        annotations: A annotations.
        sizes: (height, width) of the image of each.
        tolerant: leave out polygons that are none instead of refusing the file.
        polygons: refuse run lengths of objects, which `INPUT.MASK_FORMAT` polygon cannot hold.

    Returns:
        The A masks; an empty tuple where there is none.

    Raises:
        UserError: a polygon of fewer than three points, of an odd number of values or of values
            that are no numbers or far outside the image; run lengths that do not fill their image.
    """
    outlines: list[Outline] = []
    for annotation, size in zip(annotations, sizes, strict=True):
        where = f"{path}: annotation {annotation['id']}"
        mask = annotation.get("segmentation") or ()
        if not isinstance(mask, dict):
            outlines.append(_polygons(where, mask, size, tolerant=tolerant))
            continue
        if polygons and not annotation.get("iscrowd"):
            raise UserError(
                f"{where} has a run-length mask, which INPUT.MASK_FORMAT polygon cannot hold; "
                "set INPUT.MASK_FORMAT bitmask"
            )
        problem = run_length_problem(mask, *size)
        if problem:
            raise UserError(f"{where}: its run-length segmentation {problem}; mend the file")
        outlines.append(packed(mask))
    return outlines


def _polygons(
    where: str, polygons: Sequence[Any], size: tuple[int, int], *, tolerant: bool
) -> Polygons:
    kept, edge = [], max(size)
    for number, polygon in enumerate(polygons):
        if len(polygon) < _SHORTEST or len(polygon) % 2:
            if tolerant:
                continue
            raise UserError(
                f"{where}: polygon {number} of its segmentation has {len(polygon)} values, but "
                "one has x and y of at least three points. Mend the file, or set "
                "DATASETS.DROP_BAD_BOXES True to go on without it"
            )
        kept.append(_coordinates(where, number, polygon))
        # pycocotools draws on a grid that holds every point: huge ones end the process.
        if min(polygon) < -edge or max(polygon) > 2 * edge:
            raise UserError(
                f"{where}: polygon {number} of its segmentation is more than {edge} px outside "
                f"its image of {size[1]}x{size[0]}; mend the file"
            )
    return tuple(kept)


def _coordinates(where: str, number: int, polygon: list[Any]) -> NDArray[np.float64]:
    try:
        values = np.array(polygon)  # of text, of None and of numbers beyond any float no numbers
    except ValueError:  # lists of several lengths
        values = np.array(None)
    if values.ndim != 1 or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise UserError(
            f"{where}: polygon {number} of its segmentation has a value that is no finite "
            "number; mend the file"
        )
    return values.astype(np.float64)
