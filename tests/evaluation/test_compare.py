"""The paired comparison of two results files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from resnext_det.evaluation.coco_ap import evaluate_coco
from resnext_det.evaluation.compare import compare_coco

Vectors = Callable[..., tuple[Path, Path]]


def test_the_difference_is_that_of_the_two_evaluations(make_vector: Vectors) -> None:
    gt, dt = make_vector(seed=3, num_images=40)
    records = json.loads(dt.read_text())
    part = dt.with_name("part.json")
    part.write_text(json.dumps(records[::4]))
    first, second = evaluate_coco(gt, part)["AP50"], evaluate_coco(gt, dt)["AP50"]
    difference = compare_coco(gt, part, dt, metric="AP50", num_samples=200)
    assert difference.value == pytest.approx(second - first, abs=1e-9)
    assert difference.low < difference.value < difference.high
    assert difference.num_images == 40
    assert difference.excludes_zero


def test_equal_results_differ_by_nothing(make_vector: Vectors) -> None:
    gt, dt = make_vector(seed=3)
    difference = compare_coco(gt, dt, dt, num_samples=50)
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)
    assert not difference.excludes_zero


def test_empty_results_and_empty_truth(make_vector: Vectors) -> None:
    gt, dt = make_vector(seed=3)
    empty = dt.with_name("empty.json")
    empty.write_text("[]")
    assert compare_coco(gt, empty, empty, num_samples=50).value == 0.0
    gt, dt = make_vector(seed=3, max_boxes=0)
    assert compare_coco(gt, dt, dt, num_samples=50) is None
