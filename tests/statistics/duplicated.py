"""A data set in which images really stand several times, and what pycocotools says of it."""

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resnext_det.evaluation.box_arrays import read_rows, read_truth
from resnext_det.evaluation.coco_ap import evaluate_with_pycocotools
from resnext_det.evaluation.coco_input import ground_truth_of, result_rows
from resnext_det.statistics.matches import match_detections
from resnext_det.statistics.weighted_ap import average_precision


def weighted_scores(gt: Path, dt: Path, weights: np.ndarray) -> np.ndarray:
    """Returns (S, M) in 0 … 1, ours."""
    truth = read_truth(gt)
    return average_precision(match_detections(truth, read_rows(dt, truth)), weights) / 100


def reference_scores(gt: Path, dt: Path, counts: Sequence[int]) -> np.ndarray:
    """Returns (M,) in 0 … 1, pycocotools' of images that stand `counts` times; NaN undefined."""
    content, records = duplicate(gt, dt, counts)
    truth = ground_truth_of(gt, content)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = evaluate_with_pycocotools(truth.dataset, result_rows("dt", records, truth))
    precision = evaluation.eval["precision"][:, :, :, 0, 2]  # (10, 101, K)
    several = range(precision.shape[2]) if precision.shape[2] > 1 else ()
    scores = [*evaluation.stats[:6], *(precision[:, :, k].mean() for k in several)]
    return np.array([np.nan if score < 0 else score for score in scores])


def duplicate(
    gt: Path, dt: Path, counts: Sequence[int]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Returns ground truth and results; an image's copies follow each other."""
    content, records = json.loads(gt.read_text()), json.loads(dt.read_text())
    old = sorted({image["id"] for image in content["images"]})
    owners = np.repeat(np.arange(len(old)), counts).tolist()
    copies: dict[int, list[int]] = {image: [] for image in old}
    for new, owner in enumerate(owners):
        copies[old[owner]].append(new)

    def copied(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**e, "image_id": new} for e in entries for new in copies[e["image_id"]]]

    return {
        "images": [{"id": new} for new in range(len(owners))],
        "categories": content["categories"],
        "annotations": copied(content["annotations"]),
    }, copied(records)
