"""The masks of a COCO annotation file: polygons and run lengths, checked. Engine-neutral."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.coco_checks import absent
from resnext_det.data.coco_problems import Problem, ProblemKind, refuse_first
from resnext_det.data.run_length import packed, run_length_problem

Polygons = tuple[NDArray[np.float64], ...]
Outline = Polygons | dict[str, Any]
"""Polygons (2 P,) as x, y, x, y, … in pixels, or a run-length object in its packed form."""

_SHORTEST = 6  # numbers: three points
# Of an outline, since pycocotools takes some 50 bytes for each of its pixels, and ends the process
# where it gets none; and how many times as long as its image's longer side, which is resized.
_MOST_PIXELS, _MOST_EDGES = 4_000_000, 1000


@dataclass(frozen=True)
class _Flaw:
    kind: ProblemKind
    reason: str
    advice: str = "mend the file"

    def at(self, where: str, image_id: int | str) -> Problem:
        return Problem(self.kind, where, self.reason, self.advice, image_id)


def absent_masks(annotations: Sequence[dict[str, Any]], *, training: bool) -> Iterator[Problem]:
    """Yields objects without a segmentation; a crowd needs one where it is scored."""
    return absent(
        [a for a in annotations if not (training and a.get("iscrowd"))],
        "segmentation",
        (ProblemKind.MASK_MISSING, ProblemKind.NO_MASKS),
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
    """Reads and checks the masks, after `absent_masks`.

    Args:
        path: the annotation file, for messages.
        annotations: A annotations.
        sizes: (height, width) of the image of each.
        tolerant: leave out polygons that are none instead of refusing the file.
        polygons: refuse run lengths of objects, which `INPUT.MASK_FORMAT` polygon cannot hold.

    Returns:
        The A masks; an empty tuple where there is none.

    Raises:
        UserError: as `outline_problems` yields.
    """
    outlines: list[Outline] = []
    for annotation, size in zip(annotations, sizes, strict=True):
        outline = _outline(annotation, size, tolerant=tolerant, polygons=polygons)
        if isinstance(outline, Problem):
            rest = outline_problems(annotations, sizes, tolerant=tolerant, polygons=polygons)
            refuse_first(path, rest)
            raise AssertionError(outline)  # the same check finds the same problem
        outlines.append(outline)
    return outlines


def outline_problems(
    annotations: Sequence[dict[str, Any]],
    sizes: Sequence[tuple[int, int]],
    *,
    tolerant: bool,
    polygons: bool,
) -> Iterator[Problem]:
    """Yields the first problem of each mask, arguments as of `read_outlines`.

    A polygon of fewer than three points, of an odd number of values or of values that are no
    numbers or far outside the image; run lengths that do not fill their image.
    """
    for annotation, size in zip(annotations, sizes, strict=True):
        outline = _outline(annotation, size, tolerant=tolerant, polygons=polygons)
        if isinstance(outline, Problem):
            yield outline


def _outline(
    annotation: dict[str, Any], size: tuple[int, int], *, tolerant: bool, polygons: bool
) -> Outline | Problem:
    mask = annotation.get("segmentation") or ()
    where, image_id = f"annotation {annotation['id']}", annotation["image_id"]
    if not isinstance(mask, dict):
        found = _polygons(mask, size, tolerant=tolerant)
        return found if isinstance(found, tuple) else found.at(where, image_id)
    if polygons and not annotation.get("iscrowd"):
        reason = "has a run-length mask, which INPUT.MASK_FORMAT polygon cannot hold"
        advice = "set INPUT.MASK_FORMAT bitmask"
        return Problem(ProblemKind.MASK_FORMAT, where, reason, advice, image_id)
    problem = run_length_problem(mask, *size)
    if problem:
        reason = f"its run-length segmentation {problem}"
        return Problem(ProblemKind.RUN_LENGTHS, where, reason, "mend the file", image_id)
    return packed(mask)


def _polygons(
    polygons: Sequence[Any], size: tuple[int, int], *, tolerant: bool
) -> Polygons | _Flaw:
    kept, edge = [], max(size)
    most = min(_MOST_PIXELS, _MOST_EDGES * edge)
    for number, polygon in enumerate(polygons):
        if len(polygon) < _SHORTEST or len(polygon) % 2:
            if tolerant:
                continue
            return _Flaw(
                ProblemKind.POLYGON_POINTS,
                f"polygon {number} of its segmentation has {len(polygon)} values, but one has x "
                "and y of at least three points",
                "Mend the file, or set DATASETS.DROP_BAD_BOXES True to go on without it",
            )
        values = _coordinates(polygon)
        if values is None:
            reason = f"polygon {number} of its segmentation has a value that is no finite number"
            return _Flaw(ProblemKind.POLYGON_VALUES, reason)
        # pycocotools draws on a grid that holds every point: huge ones end the process.
        if min(polygon) < -edge or max(polygon) > 2 * edge:
            return _Flaw(
                ProblemKind.POLYGON_OUTSIDE,
                f"polygon {number} of its segmentation is more than {edge} px outside its image "
                f"of {size[1]}x{size[0]}",
            )
        # No point is further than 3 edges from the next; to measure all would take long.
        if 3 * edge * len(values) / 2 > most and (length := _length(values)) > most:
            reason = (
                f"polygon {number} of its segmentation is {length:.0f} px long, too long to draw"
            )
            return _Flaw(ProblemKind.POLYGON_POINTS, reason)
        kept.append(values)
    return tuple(kept)


def _length(values: NDArray[np.float64]) -> float:
    """Returns the pixels of a polygon's outline; a slanting line has as many as its longer side."""
    points = values.reshape(-1, 2)
    return float(np.abs(np.diff(points, axis=0, append=points[:1])).max(axis=1).sum())


def _coordinates(polygon: list[Any]) -> NDArray[np.float64] | None:
    try:
        values = np.array(polygon)  # of text, of None and of numbers beyond any float no numbers
    except ValueError:  # lists of several lengths
        return None
    if values.ndim != 1 or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        return None
    return values.astype(np.float64)
