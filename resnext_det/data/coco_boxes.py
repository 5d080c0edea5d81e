"""Which boxes of a COCO annotation file are usable. Engine-neutral."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnext_det.errors import UserError

OVERHANG = 1.0
"""Pixels by which a box may reach beyond its image and still be taken as rounding."""

_HUGE = 1e30


@dataclass(frozen=True)
class BoxVerdict:
    """Which boxes of a file are usable.

    Attributes:
        boxes: (A, 4) float64, xywh as in the file.
        keep: (A,) bool.
        dropped: how many are left out for their geometry.
        message: one line that says so.
    """

    boxes: NDArray[np.float64]
    keep: NDArray[np.bool_]
    dropped: int
    message: str


def judge_boxes(path: Path, content: dict[str, Any], *, tolerant: bool) -> BoxVerdict:
    """Judges every box against its image.

    Args:
        path: the annotation file, for messages.
        content: what it holds, after the other checks.
        tolerant: leave out what cannot be used instead of refusing the file.

    Raises:
        UserError: a box is not four finite numbers; or, unless tolerant, is of zero or
            negative size, or reaches more than `OVERHANG` px beyond its image.
    """
    annotations = content["annotations"]
    images = {image["id"]: image for image in content["images"]}
    boxes = _box_array(path, annotations, images)
    sizes = np.array(
        [(images[a["image_id"]]["width"], images[a["image_id"]]["height"]) for a in annotations],
        dtype=np.float64,
    ).reshape(-1, 2)
    crowd = np.array([a.get("iscrowd", 0) for a in annotations], dtype=np.bool_)
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    overhang = np.maximum(-low, high - sizes).max(axis=1, initial=0.0)
    flat = (boxes[:, 2:] <= 0).any(axis=1) & ~crowd
    outside = ((low >= sizes) | (high <= 0)).any(axis=1) & ~crowd & ~flat
    over = (overhang > OVERHANG) & ~crowd & ~flat & ~outside
    reasons = (
        (flat, "has a width or height of zero or less"),
        (outside, "lies wholly outside the image"),
        (over, "reaches beyond the image's edge by {overhang:.4g} px"),
    )
    bad = flat | outside if tolerant else flat | outside | over
    message = ""
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        reason = next(text for mask, text in reasons if mask[row])
        message = _describe(path, annotations[row], images, reason.format(overhang=overhang[row]))
        message += f"; {int(bad.sum())} unusable box(es) in the file"
        if not tolerant:
            raise UserError(
                f"{message}. Mend the file, or set DATASETS.DROP_BAD_BOXES True to go on "
                "without them"
            )
        message += " are left out"
    keep = ~bad & _has_valid_outline(annotations)
    return BoxVerdict(boxes, keep, int(bad.sum()), message)


def _describe(
    path: Path, annotation: dict[str, Any], images: dict[Any, dict[str, Any]], reason: str
) -> str:
    image = images[annotation["image_id"]]
    return (
        f"{path}: annotation {annotation['id']} of image {image['file_name']} (id {image['id']}, "
        f"{image['width']}x{image['height']}): box {annotation['bbox']} {reason}"
    )


def _box_array(
    path: Path, annotations: list[dict[str, Any]], images: dict[Any, dict[str, Any]]
) -> NDArray[np.float64]:
    """Returns (A, 4) boxes after checking that each is four finite numbers."""
    for annotation in annotations:
        if not _four_finite_numbers(annotation["bbox"]):
            raise UserError(_describe(path, annotation, images, "is not four finite numbers"))
    return np.array([a["bbox"] for a in annotations], dtype=np.float64).reshape(-1, 4)


def _four_finite_numbers(box: list[Any]) -> bool:
    # Infinity and nan fail both comparisons; so does a whole number beyond any float.
    return len(box) == 4 and all(
        isinstance(value, (int, float)) and -_HUGE < value < _HUGE for value in box
    )


def _has_valid_outline(annotations: list[dict[str, Any]]) -> NDArray[np.bool_]:
    """Marks annotations whose polygons, where there are any, include a valid one.

    Detectron2 leaves out an object all of whose polygons have fewer than three points,
    also for detectors that use boxes only.
    """

    def valid(outline: Any) -> bool:
        if not isinstance(outline, list) or not outline:
            return True
        return any(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in outline)

    return np.array([valid(a.get("segmentation")) for a in annotations], dtype=np.bool_)
