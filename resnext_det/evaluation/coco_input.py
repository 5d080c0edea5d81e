"""COCO ground truth and results, checked, as plain arrays for either library. Engine-neutral.

Ids are replaced by their rank and missing areas filled in. Numbering annotations
from 1 avoids pycocotools taking an annotation of id 0 for "no match"; ranks keep the
order of images, on which tied scores depend.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resnext_det.errors import UserError
from resnext_det.json_files import read_json


@dataclass(frozen=True)
class GroundTruth:
    """An annotation file with dense ids.

    Attributes:
        path: the file, for messages.
        dataset: COCO dict with image ids 0 …, category ids 0 … and annotation ids 1 ….
        image_rank: id in the file -> dense id.
        category_rank: id in the file -> dense id.
        class_names: in the order of the dense ids.
    """

    path: Path
    dataset: dict[str, Any]
    image_rank: Mapping[Hashable, int]
    category_rank: Mapping[Hashable, int]
    class_names: tuple[str, ...]


def read_ground_truth(path: Path) -> GroundTruth:
    """Reads a COCO annotation file for counting.

    Raises:
        UserError: the file is missing, is not JSON, or is not COCO.
    """
    return ground_truth_of(path, read_annotation_json(path))


def read_annotation_json(path: Path) -> Any:
    """Returns what an annotation file holds, not looked at yet.

    Raises:
        UserError: the file is missing, or is not JSON.
    """
    if not path.exists():
        raise UserError(f"{path}: no such annotation file")
    try:
        return read_json(path)
    except UserError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise UserError(f"{path}: cannot be read as COCO annotation JSON ({reason})") from None


def ground_truth_of(path: Path, content: Any) -> GroundTruth:
    """Prepares the content of a COCO annotation file for counting.

    Args:
        path: the file, for messages.
        content: what it holds.

    Raises:
        UserError: the content is not COCO.
    """
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(f"{path}: not a COCO annotation file, it has no list {key!r}")
    try:
        return _dense_ground_truth(path, content)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a COCO annotation file ({error!r})") from None


def _dense_ground_truth(path: Path, content: dict[str, Any]) -> GroundTruth:
    image_rank = _ranks(image["id"] for image in content["images"])
    category_rank = _ranks(category["id"] for category in content["categories"])
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    annotations = []
    for number, annotation in enumerate(content["annotations"], start=1):
        try:
            annotations.append(_dense_annotation(number, annotation, image_rank, category_rank))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            name = annotation.get("id", number) if isinstance(annotation, dict) else number
            raise UserError(
                f"{path}: not a COCO annotation file: annotation {name} cannot be used ({error!r})"
            ) from None
    dataset = {
        "images": [{"id": rank} for rank in image_rank.values()],
        "categories": [{"id": rank, "name": names[key]} for key, rank in category_rank.items()],
        "annotations": annotations,
    }
    class_names = distinct_names(list(category_rank), [names[key] for key in category_rank])
    return GroundTruth(path, dataset, image_rank, category_rank, class_names)


def _dense_annotation(
    number: int,
    annotation: dict[str, Any],
    image_rank: Mapping[Hashable, int],
    category_rank: Mapping[Hashable, int],
) -> dict[str, Any]:
    x, y, width, height = map(float, annotation["bbox"])
    area = float(annotation.get("area", width * height))
    if not all(map(math.isfinite, (x, y, width, height, area))):
        raise ValueError("its bbox or area is not finite")
    return {
        "id": number,
        "image_id": image_rank[annotation["image_id"]],
        "category_id": category_rank[annotation["category_id"]],
        "bbox": [x, y, width, height],
        "area": area,
        "iscrowd": _crowd(annotation.get("iscrowd", 0)),
    }


def _crowd(value: Any) -> int:
    """Returns 0 or 1; of other values the libraries make different things."""
    if isinstance(value, str) or value not in (0, 1):
        raise ValueError(f"iscrowd is {str(value)[:60]!r}, neither 0 nor 1")
    return int(value)


def distinct_names(category_ids: Sequence[Hashable], names: Sequence[str]) -> tuple[str, ...]:
    """Returns the class names, those that occur twice with their category id: "red (id 3)"."""
    counts = Counter(names)
    return tuple(
        f"{name} (id {key})" if counts[name] > 1 else name
        for key, name in zip(category_ids, names, strict=True)
    )


def _ranks(ids: Iterable[Any]) -> dict[Hashable, int]:
    return {key: rank for rank, key in enumerate(sorted(set(ids)))}


def result_rows(name: str, records: list[dict[str, Any]], ground_truth: GroundTruth) -> np.ndarray:
    """Checks result records and puts them into one array.

    Args:
        name: the file of the records, for messages.
        records: COCO box results with the ids of the annotation file.
        ground_truth: what they will be compared with.

    Returns:
        (N, 7) float64: dense image id, x, y, w, h, score, dense category id.

    Raises:
        UserError: a record is malformed, not finite, or names an unknown image or category.
    """
    rows = np.zeros((len(records), 7))
    for index, record in enumerate(records):
        try:
            x, y, width, height = map(_number, record["bbox"])
            image = ground_truth.image_rank.get(_id(record["image_id"]))
            category = ground_truth.category_rank.get(_id(record["category_id"]))
            score = _number(record["score"])
            if image is not None and category is not None:
                rows[index] = image, x, y, width, height, score, category
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"{name}: record {index} is not a COCO box result with image_id, category_id,"
                f" bbox [x, y, w, h] and score ({error!r})"
            ) from None
        for key, found in (("image_id", image), ("category_id", category)):
            if found is None:
                raise UserError(
                    f"{name}: record {index} has {key} {record[key]!r},"
                    f" which {ground_truth.path} does not have"
                )
    broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(broken):
        raise UserError(f"{name}: record {broken[0]} has a bbox or score that is not finite")
    negative = np.flatnonzero((rows[:, 3:5] < 0).any(axis=1))
    if len(negative):
        raise UserError(
            f"{name}: record {negative[0]} has a bbox of negative width or height; "
            f"{len(negative)} such record(s)"
        )
    return rows


def _number(value: Any) -> float:
    """Returns a number as it is; NumPy would read text, and truth values are numbers to Python."""
    if isinstance(value, bool | str):
        raise TypeError(f"{value!r:.60} is no number")
    return float(value)


def _id(value: Any) -> Any:
    if isinstance(value, bool):
        raise TypeError(f"{value} is no id")
    return value
