"""COCO evaluation: annotations and detections to APs, against pycocotools. Engine-neutral.

The input is {"annotations": COCO's, "results": COCO's}. What both libraries score, they have to
score alike: on our own arrays always, and pycocotools on the files as they are, where their ids are
plain numbers (it takes an annotation of id 0 for none, and a repeated id for the same).
"""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from resnext_det.errors import UserError, one_line
from resnext_det.evaluation.coco_ap import (
    METRICS,
    Backend,
    evaluate_boxes,
    evaluate_coco,
    evaluate_coco_per_class,
)
from resnext_det.evaluation.coco_input import read_ground_truth
from resnext_det.json_files import read_json
from tests.fuzzing.harness import Harness
from tests.fuzzing.mutations import mutate_json, written

_CLOSE = 1e-7  # percent
_LIBRARIES: tuple[Backend, ...] = ("hotcoco", "pycocotools")


def read(data: bytes, folder: Path, thorough: bool) -> None:
    """Scores the results with both libraries.

    Raises:
        UserError: the files are refused, by both alike.
        AssertionError: the scores differ.
    """
    truth, found = folder / "truth.json", folder / "found.json"
    _write_files(data, truth, found)
    try:
        scores = _boxes(truth, found, "hotcoco")
    except UserError as error:
        one_line(str(error)).encode()
        with contextlib.suppress(UserError):
            _boxes(truth, found, "pycocotools")
            raise AssertionError(f"pycocotools takes what is refused: {error}") from error
        raise
    _compare(scores, _boxes(truth, found, "pycocotools"))
    if not thorough:
        return
    _compare(*(_by_class(truth, found, library) for library in _LIBRARIES))
    raw = _of_the_files(read_json(truth), read_json(found))
    if raw is not None:
        _compare(evaluate_coco(truth, found), raw)


def _boxes(truth: Path, found: Path, library: Backend) -> dict[str, float | None]:
    return evaluate_boxes(read_ground_truth(truth), found, backend=library)


def _by_class(truth: Path, found: Path, library: Backend) -> dict[str, float | None]:
    table = evaluate_coco_per_class(truth, found, backend=library)
    return {f"{name} {key}": value for name, row in table.items() for key, value in row.items()}


def _write_files(data: bytes, truth: Path, found: Path) -> None:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict) and {"annotations", "results"} <= set(content):
        truth.write_bytes(written(content["annotations"]))
        found.write_bytes(written(content["results"]))
    else:
        truth.write_bytes(data)
        found.write_bytes(data)


def _compare(ours: dict[str, float | None], reference: dict[str, float | None]) -> None:
    assert list(ours) == list(reference)
    for name, value in ours.items():
        other = reference[name]
        same = value == other or (
            value is not None and other is not None and abs(value - other) <= _CLOSE
        )
        assert same, f"{name} differs: {value} and {other} by pycocotools"


def _of_the_files(content: Any, records: Any) -> dict[str, float | None] | None:
    """Returns what pycocotools itself says of the files; None where it cannot read them."""
    if not (records and _plain(content["annotations"], ("id", "image_id", "category_id"))):
        return None
    if not (_plain(content["images"], ("id",)) and _plain(content["categories"], ("id",))):
        return None
    if not all(set(record) == {"image_id", "category_id", "bbox", "score"} for record in records):
        return None
    try:
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            truth = COCO()
            truth.dataset = content
            truth.createIndex()
            evaluation = COCOeval(truth, truth.loadRes(records), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
    except (AssertionError, KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None
    stats = [None if value < 0 else 100 * float(value) for value in evaluation.stats]
    return dict(zip(METRICS, stats, strict=True))


def _plain(items: list[dict[str, Any]], keys: tuple[str, ...]) -> bool:
    """Returns whether ids are whole numbers above 0, and each item's own occurs once."""
    own = [item.get(keys[0]) for item in items]
    numbers = all(type(item.get(key)) is int and item[key] > 0 for item in items for key in keys)
    return numbers and len(set(own)) == len(own)


HARNESS = Harness(read, mutate_json, every=3)
