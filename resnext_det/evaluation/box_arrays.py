"""Ground truth and detections as plain arrays, read from their files. Engine-neutral.

Of plain files the typed parser is asked first. Whatever it does not take for certain, it leaves to
the careful readers of `coco_input`, which have a message for each mistake.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resnext_det.evaluation.coco_input import (
    GroundTruth,
    distinct_names,
    ground_truth_of,
    read_annotation_json,
    result_rows,
)
from resnext_det.evaluation.results_json import read_results
from resnext_det.evaluation.typed_json import decode_results, decode_truth


@dataclass(frozen=True)
class TruthBoxes:
    """An annotation file; images and classes are numbered in the order of their ids.

    Attributes:
        path: the file, for messages.
        image_ids: (I) ids in the file.
        file_names: (I) the images' files; "" where the file does not say.
        sizes: (I, 2) float64, width and height of the images; 0 where the file does not say.
        category_ids: (K) ids in the file.
        class_names: (K) names, no two the same.
        images: (G,) int64, each object's image, 0 … I-1, in the order of the file.
        classes: (G,) int64, 0 … K-1.
        boxes: (G, 4) float64, x, y, w, h in pixels.
        areas: (G,) float64, by which COCO tells sizes apart.
        crowd: (G,) bool, regions of many objects: a detection there counts for nothing.
    """

    path: Path
    image_ids: tuple[Hashable, ...]
    file_names: tuple[str, ...]
    sizes: np.ndarray
    category_ids: tuple[Hashable, ...]
    class_names: tuple[str, ...]
    images: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray

    @property
    def num_images(self) -> int:
        """I."""
        return len(self.image_ids)


def read_truth(path: Path) -> TruthBoxes:
    """Reads a COCO annotation file.

    Raises:
        UserError: the file is missing, is not JSON, or is not COCO.
    """
    return _typed_truth(path) or _careful_truth(path)


def truth_of(truth: GroundTruth) -> TruthBoxes:
    """Returns the arrays of ground truth that was read already, without names of files."""
    return _truth_of(truth, {})


def read_rows(path: Path, truth: TruthBoxes) -> np.ndarray:
    """Reads COCO box results.

    Args:
        path: the file.
        truth: what they will be compared with.

    Returns:
        (R, 7) float64: image 0 … I-1, x, y, w, h, score, class 0 … K-1, in the order of the file.

    Raises:
        UserError: the file is missing or no results, or a record is malformed, not finite, or
            names an image or a category that the annotation file does not have.
    """
    return rows if (rows := _typed_rows(path, truth)) is not None else _careful_rows(path, truth)


def _typed_truth(path: Path) -> TruthBoxes | None:
    content = decode_truth(path)
    if content is None or not content.categories or not content.images:
        return None
    names = {category.id: category.name for category in content.categories}
    category_ids = sorted(names)
    images = {image.id: image for image in content.images}
    image_ids = sorted(images)
    if len(images) < len(content.images) or len(names) < len(content.categories):
        return None  # an id that is there twice
    objects = content.annotations
    boxes = np.array([o.bbox for o in objects], np.float64).reshape(-1, 4)
    stated = np.array([o.area if isinstance(o.area, float) else np.nan for o in objects])
    places = _places([o.image_id for o in objects], image_ids)
    classes = _places([o.category_id for o in objects], category_ids)
    missing = np.array([not isinstance(o.area, float) for o in objects], bool)
    areas = np.where(missing, boxes[:, 2] * boxes[:, 3], stated)
    if places is None or classes is None or not np.isfinite(boxes).all():
        return None
    if not np.isfinite(areas).all():
        return None
    return TruthBoxes(
        path=path,
        image_ids=tuple(image_ids),
        file_names=tuple(images[key].file_name for key in image_ids),
        sizes=np.array([(images[key].width, images[key].height) for key in image_ids], np.float64),
        category_ids=tuple(category_ids),
        class_names=distinct_names(category_ids, [names[key] for key in category_ids]),
        images=places,
        classes=classes,
        boxes=boxes,
        areas=areas,
        crowd=np.array([bool(o.iscrowd) for o in objects], bool),
    )


def _places(ids: Any, known: Any) -> np.ndarray | None:
    """Returns each id's place among the sorted known ones; None where one is not among them."""
    try:
        ids, table = np.asarray(ids, np.int64), np.array(known, np.int64)
    except OverflowError:
        return None
    found = np.searchsorted(table, ids)
    if (found == len(table)).any() or (table[found] != ids).any():
        return None
    return found


def _careful_truth(path: Path) -> TruthBoxes:
    content = read_annotation_json(path)
    truth = ground_truth_of(path, content)
    return _truth_of(truth, {image["id"]: image for image in content["images"]})


def _truth_of(truth: GroundTruth, images: dict[Hashable, Any]) -> TruthBoxes:
    objects = truth.dataset["annotations"]
    entries = [images.get(key, {}) for key in truth.image_rank]
    sizes = [[_size(entry.get(key)) for key in ("width", "height")] for entry in entries]
    return TruthBoxes(
        path=truth.path,
        image_ids=tuple(truth.image_rank),
        file_names=tuple(str(entry.get("file_name", "")) for entry in entries),
        sizes=np.array(sizes, np.float64).reshape(-1, 2),
        category_ids=tuple(truth.category_rank),
        class_names=truth.class_names,
        images=np.array([o["image_id"] for o in objects], np.int64),
        classes=np.array([o["category_id"] for o in objects], np.int64),
        boxes=np.array([o["bbox"] for o in objects], np.float64).reshape(-1, 4),
        areas=np.array([o["area"] for o in objects], np.float64),
        crowd=np.array([o["iscrowd"] for o in objects], bool),
    )


def _size(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _typed_rows(path: Path, truth: TruthBoxes) -> np.ndarray | None:
    if not all(type(key) is int for key in (*truth.image_ids, *truth.category_ids)):
        return None
    columns = decode_results(path)
    if columns is None:
        return None
    images = _places(columns.image_ids, truth.image_ids)
    classes = _places(columns.category_ids, truth.category_ids)
    if images is None or classes is None:
        return None
    rows = np.empty((len(images), 7))
    rows[:, 0], rows[:, 1:5] = images, columns.boxes
    rows[:, 5], rows[:, 6] = columns.scores, classes
    fine = np.isfinite(rows).all() and (rows[:, 3:5] >= 0).all()
    return rows if fine else None


def _careful_rows(path: Path, truth: TruthBoxes) -> np.ndarray:
    known = GroundTruth(
        truth.path,
        {},
        {key: place for place, key in enumerate(truth.image_ids)},
        {key: place for place, key in enumerate(truth.category_ids)},
        truth.class_names,
    )
    return result_rows(str(path), read_results(path), known)
