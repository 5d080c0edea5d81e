"""Which detection found which object, for every class, size and IoU. Engine-neutral.

Matching looks at one image at a time, so it is done once, by hotcoco; however often an image is
drawn later, its matches are the same.
"""

import contextlib
import gc
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from resnext_det.evaluation.coco_input import GroundTruth

NUM_IOUS = 10
AREAS = ("all", "small", "medium", "large")

# Images that are matched at once; the library's lists of one such part take about 150 MB on COCO.
_CHUNK = 250


@dataclass(frozen=True)
class ClassMatches:
    """One class's detections, best first; equal scores in the order of their images.

    Attributes:
        images: (R,) int64, the dense id of each detection's image.
        scores: (R,) float64, falling.
        found: (4 areas, 10 IoUs, R) bool, whether it was matched with an object that counts.
        ignored: (4 areas, 10 IoUs, R) bool, whether it counts for nothing: matched with a crowd or
            with an object of another size, or unmatched and of another size.
        num_objects: (4 areas, I) int64, the objects of each image that count.
    """

    images: np.ndarray
    scores: np.ndarray
    found: np.ndarray
    ignored: np.ndarray
    num_objects: np.ndarray


def match_detections(truth: GroundTruth, rows: np.ndarray) -> tuple[ClassMatches, ...]:
    """Matches detections with objects as pycocotools does, at most 100 per image and class.

    Args:
        truth: the annotation file.
        rows: (R, 7) float64 from `coco_input.result_rows`.

    Returns:
        One entry for each class, in the order of the dense ids.
    """
    from hotcoco import COCO, COCOeval  # loads its plotting parts; only when evaluating

    ground_truth = COCO(truth.dataset)
    evaluation: Any = COCOeval(ground_truth, ground_truth.load_res(rows), "bbox")
    num_images = len(truth.image_rank)
    parts: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for start in range(0, num_images, _CHUNK):
        evaluation.params.img_ids = list(range(start, min(start + _CHUNK, num_images)))
        evaluation.evaluate()
        with _no_collection():
            for part in _parts(evaluation.eval_imgs):
                parts[part["category"]].append(part)
    return tuple(
        _join(parts.get(category, []), num_images) for category in range(len(truth.class_names))
    )


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Stops the search for cycles, which thousands of new lists would start over and over.

    There are none in them, and building them takes seven times as long with it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _parts(entries: list[dict[str, Any] | None]) -> list[dict[str, Any]]:
    """Returns one compact entry for each image and class, in the order of the images."""
    groups: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        if entry is not None:
            groups[entry["image_id"], entry["category_id"]].append(entry)
    parts = []
    for (image, category), areas in sorted(groups.items(), key=lambda item: item[0]):
        areas.sort(key=_area_order)
        scores = np.array(areas[0]["dtScores"], dtype=np.float64)
        shape = len(areas), NUM_IOUS, len(scores)
        ignored = np.array([area["dtIgnore"] for area in areas], dtype=bool).reshape(shape)
        matched = np.array([area["dtMatched"] for area in areas], dtype=bool).reshape(shape)
        parts.append(
            {
                "image": image,
                "category": category,
                "scores": scores,
                "found": matched & ~ignored,
                "ignored": ignored,
                "num_objects": [area["gtIgnore"].count(False) for area in areas],
            }
        )
    return parts


def _area_order(entry: dict[str, Any]) -> tuple[float, float]:
    """Sorts the sizes as AREAS names them: all reaches furthest from 0."""
    low, high = entry["aRng"]
    return (-1.0, 0.0) if low == 0 and high > 96**2 else (low, high)


def _join(parts: list[dict[str, Any]], num_images: int) -> ClassMatches:
    num_objects = np.zeros((len(AREAS), num_images), dtype=np.int64)
    for part in parts:
        num_objects[:, part["image"]] = part["num_objects"]
    if not parts:
        nothing = np.zeros((len(AREAS), NUM_IOUS, 0), dtype=bool)
        return ClassMatches(np.zeros(0, np.int64), np.zeros(0), nothing, nothing, num_objects)
    scores = np.concatenate([part["scores"] for part in parts])
    images = np.repeat([part["image"] for part in parts], [len(p["scores"]) for p in parts])
    order = np.argsort(-scores, kind="stable")  # pycocotools' mergesort
    return ClassMatches(
        images=images[order].astype(np.int64),
        scores=scores[order],
        found=np.concatenate([part["found"] for part in parts], axis=2)[:, :, order],
        ignored=np.concatenate([part["ignored"] for part in parts], axis=2)[:, :, order],
        num_objects=num_objects,
    )
