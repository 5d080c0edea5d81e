"""Which boxes of a COCO annotation file are usable. Engine-neutral."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.coco_problems import FIX, Problem, ProblemKind, refuse_first

OVERHANG = 1.0
"""Pixels by which a box may reach beyond its image and still be taken as rounding."""

_HUGE = 1e30
_FEWEST = 10  # boxes from which on the form of all of them says something
_Images = Mapping[int | str, Mapping[str, Any]]


@dataclass(frozen=True)
class BoxVerdict:
    """Which boxes of a file are usable.

    Attributes:
        boxes: (A, 4) float64, xywh as in the file.
        keep: (A,) bool.
        dropped: how many are left out for their geometry.
        message: one line that says so.
        unoutlined: how many others are left out because no polygon of theirs is one.
    """

    boxes: NDArray[np.float64]
    keep: NDArray[np.bool_]
    dropped: int
    message: str
    unoutlined: int = 0


def judge_boxes(
    path: Path, content: dict[str, Any], *, tolerant: bool, published: bool = False
) -> BoxVerdict:
    """Judges every box against its image.

    Args:
        path: the annotation file, for messages.
        content: what it holds, after the other checks.
        tolerant: leave out what cannot be used instead of refusing the file.
        published: the boxes are known to be x, y, width, height.

    Raises:
        UserError: the boxes seem to be corners; or, unless tolerant, one is of zero or negative
            size, or reaches more than `OVERHANG` px beyond its image.
    """
    annotations = content["annotations"]
    images = _by_id(content)
    measured = _measure(annotations, images)
    if not published:
        refuse_first(path, _corner_problems(measured))
    bad = measured.unusable(tolerant=tolerant)
    message = ""
    if bad.any():
        problems = _geometry_problems(annotations, images, measured, bad)
        if not tolerant:
            refuse_first(path, problems)
        message = replace(next(problems), advice="").line(path, int(bad.sum())) + " are left out"
    outlined = has_valid_outline(annotations)
    return BoxVerdict(
        measured.boxes, ~bad & outlined, int(bad.sum()), message, int((~bad & ~outlined).sum())
    )


def box_problems(content: dict[str, Any]) -> Iterator[Problem]:
    """Yields every box that is not four finite numbers, of no size, or beyond its image.

    Args:
        content: of a COCO file, each image of a sound size, each annotation's image there.
    """
    annotations = content["annotations"]
    images = _by_id(content)
    yield from box_value_problems(content)
    numeric = [a for a in annotations if _four_finite_numbers(a["bbox"])]
    measured = _measure(numeric, images)
    corners = list(_corner_problems(measured))
    yield from corners
    if not corners:  # else what they do as x, y, width, height has been told
        yield from _geometry_problems(numeric, images, measured, measured.unusable(tolerant=False))


@dataclass(frozen=True)
class _Measured:
    """Boxes beside their images.

    Attributes:
        boxes: (A, 4) float64, xywh.
        overhang: (A,) float64, pixels beyond the image.
        flat: (A,) bool, of no size; never a crowd, nor are the others.
        outside: (A,) bool, wholly.
        over: (A,) bool, by more than `OVERHANG`.
        corners: (A,) bool, read as x0, y0, x1, y1 it is a box in its image.
    """

    boxes: NDArray[np.float64]
    overhang: NDArray[np.float64]
    flat: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    over: NDArray[np.bool_]
    corners: NDArray[np.bool_]

    def unusable(self, *, tolerant: bool) -> NDArray[np.bool_]:
        return self.flat | self.outside if tolerant else self.flat | self.outside | self.over

    def reason(self, row: int) -> tuple[ProblemKind, str]:
        if self.flat[row]:
            swapped = " (corners swapped?)" if (self.boxes[row, 2:] < 0).any() else ""
            return ProblemKind.BOX_SIZE, f"has a width or height of zero or less{swapped}"
        if self.outside[row]:
            return ProblemKind.BOX_OUTSIDE, "lies wholly outside the image"
        over = f"reaches beyond the image's edge by {self.overhang[row]:.4g} px"
        return ProblemKind.BOX_OVERHANG, over


def _measure(annotations: list[dict[str, Any]], images: _Images) -> _Measured:
    boxes = np.array([a["bbox"] for a in annotations], dtype=np.float64).reshape(-1, 4)
    sizes = np.array(
        [(images[a["image_id"]]["width"], images[a["image_id"]]["height"]) for a in annotations],
        dtype=np.float64,
    ).reshape(-1, 2)
    crowd = np.array([bool(a.get("iscrowd", 0)) for a in annotations], dtype=np.bool_)
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    overhang = np.maximum(-low, high - sizes).max(axis=1, initial=0.0)
    flat = (boxes[:, 2:] <= 0).any(axis=1) & ~crowd
    outside = ((low >= sizes) | (high <= 0)).any(axis=1) & ~crowd & ~flat
    over = (overhang > OVERHANG) & ~crowd & ~flat & ~outside
    right = boxes[:, 2:]  # read as corners
    corners = ((right > low) & (right <= sizes + OVERHANG) & (low >= -OVERHANG)).all(axis=1)
    return _Measured(boxes, overhang, flat, outside, over, np.asarray(corners))


def _geometry_problems(
    annotations: list[dict[str, Any]],
    images: _Images,
    measured: _Measured,
    bad: NDArray[np.bool_],
) -> Iterator[Problem]:
    advice = "Mend the file, or set DATASETS.DROP_BAD_BOXES True to go on without them"
    for row in np.flatnonzero(bad).tolist():
        kind, reason = measured.reason(row)
        yield _box_problem(kind, annotations[row], images, reason, advice)


def _corner_problems(measured: _Measured) -> Iterator[Problem]:
    """Yields the suspicion that a whole file holds corners.

    Of widths and heights, every one hardly exceeds its box's x and y, so a file whose boxes all
    are boxes when read as corners, and of which a tenth leave their images when not, is one.
    """
    number = len(measured.boxes)
    beyond = int((measured.outside | measured.over).sum())
    if number >= _FEWEST and measured.corners.all() and 10 * beyond >= number:
        yield Problem(
            ProblemKind.BOX_CORNERS,
            f"all {number} boxes",
            f"have to be read as corners x0, y0, x1, y1 to lie in their images; as x, y, width, "
            f"height, which COCO has, {beyond} reach beyond them",
            f"write width and height; {FIX} does",
        )


def seem_corners(content: dict[str, Any]) -> bool:
    """Returns whether the boxes of a file have to be read as x0, y0, x1, y1.

    Args:
        content: of a COCO file, each image of a sound size, each annotation's image there.
    """
    numeric = [a for a in content["annotations"] if has_four_numbers(a)]
    return next(_corner_problems(_measure(numeric, _by_id(content))), None) is not None


def has_four_numbers(annotation: Mapping[str, Any]) -> bool:
    """Returns whether an annotation's box is four finite numbers."""
    box = annotation.get("bbox")
    return isinstance(box, list) and _four_finite_numbers(box)


def box_value_problems(content: dict[str, Any]) -> Iterator[Problem]:
    """Yields every box that is not four finite numbers; its image is there."""
    images = _by_id(content)
    for annotation in content["annotations"]:
        if not _four_finite_numbers(annotation["bbox"]):
            reason, advice = "is not four finite numbers", f"mend it; {FIX} takes it out"
            yield _box_problem(ProblemKind.BOX_VALUES, annotation, images, reason, advice)


def _box_problem(
    kind: ProblemKind, annotation: dict[str, Any], images: _Images, reason: str, advice: str
) -> Problem:
    image = images[annotation["image_id"]]
    where = (
        f"annotation {annotation['id']} of image {image['file_name']} (id {image['id']}, "
        f"{image['width']}x{image['height']})"
    )
    return Problem(kind, where, f"box {annotation['bbox']} {reason}", advice, image["id"])


def _by_id(content: dict[str, Any]) -> _Images:
    return {image["id"]: image for image in content["images"]}


def _four_finite_numbers(box: list[Any]) -> bool:
    # Infinity and nan fail both comparisons; so does a whole number beyond any float.
    return len(box) == 4 and all(
        type(value) in (int, float) and -_HUGE < value < _HUGE for value in box
    )


def has_valid_outline(annotations: list[dict[str, Any]]) -> NDArray[np.bool_]:
    """Marks annotations whose polygons, where there are any, include a valid one.

    Detectron2 leaves out an object all of whose polygons have fewer than three points,
    also for detectors that use boxes only.
    """

    def valid(outline: Any) -> bool:
        if not isinstance(outline, list) or not outline:
            return True
        return any(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in outline)

    return np.array([valid(a.get("segmentation")) for a in annotations], dtype=np.bool_)
