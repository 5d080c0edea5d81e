"""Matches of all images at once against pycocotools', image by image."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask

from resnext_det.evaluation.box_arrays import read_rows, read_truth
from resnext_det.evaluation.coco_ap import evaluate_with_pycocotools
from resnext_det.evaluation.coco_input import read_ground_truth
from resnext_det.statistics.greedy_matching import overlapping_pairs
from resnext_det.statistics.matches import match_rows

Vectors = Callable[..., tuple[Path, Path]]
CASES = {
    "plain": {},
    "crowds and ties": {"crowd_share": 0.4, "tied_scores": True, "num_images": 30},
    "more than 100 detections": {"max_detections": 400, "num_images": 3, "num_classes": 1},
    "no detections": {"max_detections": 0},
    "no objects": {"max_boxes": 0},
}


def reference(gt: Path, rows: np.ndarray) -> list[dict[str, Any]]:
    """Returns pycocotools' evalImgs, those of images and classes with anything in them."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = evaluate_with_pycocotools(read_ground_truth(gt).dataset, rows)
    return [entry for entry in evaluation.evalImgs if entry is not None]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES)
def test_each_match_is_pycocotools(case: str, seed: int, make_vector: Vectors) -> None:
    gt, dt = make_vector(seed=seed, **CASES[case])
    truth = read_truth(gt)
    rows = read_rows(dt, truth)
    matching = match_rows(truth, rows)
    seen = 0
    for entry in reference(gt, rows):
        area = [[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]].index(entry["aRng"])
        own = (matching.images == entry["image_id"]) & (matching.classes == entry["category_id"])
        assert (matching.rows[own] + 1).tolist() == entry["dtIds"]
        # Annotations are numbered from 1, in the order of the file; 0 is no match.
        np.testing.assert_array_equal(matching.objects[area][:, own] + 1, entry["dtMatches"])
        np.testing.assert_array_equal(matching.ignored[area][:, own], entry["dtIgnore"])
        counted = [not ignored for ignored in entry["gtIgnore"]]
        assert matching.counted[area][np.array(entry["gtIds"], int) - 1].tolist() == counted
        seen += own.sum()
    assert seen == matching.ignored.shape[2] * 4


@pytest.mark.parametrize("at_least", [0.0, 0.3])
def test_pairs_have_pycocotools_overlaps(at_least: float) -> None:
    random = np.random.default_rng(0)
    found, sought = (
        np.concatenate([random.uniform(0, 60, (n, 2)), random.uniform(0, 40, (n, 2))], axis=1)
        for n in (50, 30)
    )
    sought[3, 2:] = 0  # without an area
    crowd = random.random(30) < 0.3
    expected = mask.iou(found, sought, crowd.tolist())
    groups = np.zeros(50, int), np.zeros(30, int)
    pairs = overlapping_pairs(found, groups[0], sought, groups[1], crowd, at_least=at_least)
    ious = np.zeros((50, 30))
    ious[pairs.found, pairs.sought] = pairs.ious
    np.testing.assert_array_equal(ious, np.where(expected >= at_least, expected, 0))
