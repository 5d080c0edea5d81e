"""Precision over recall against pycocotools, over seeds, and by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from resnext_det.errors import UserError
from resnext_det.evaluation.coco_ap import evaluate_coco, evaluate_with_pycocotools
from resnext_det.evaluation.coco_input import read_ground_truth, result_rows
from resnext_det.statistics.precision_recall import precision_recall

Vectors = Callable[..., tuple[Path, Path]]


@pytest.mark.parametrize(
    ("iou", "metric"), [(0.5, "AP50"), (0.75, "AP75"), (None, "AP")], ids=["50", "75", "mean"]
)
def test_its_mean_is_the_ap_and_it_is_pycocotools(
    iou: float | None, metric: str, make_vector: Vectors
) -> None:
    gt, dt = make_vector(seed=0, num_images=40, crowd_share=0.1)
    curve = precision_recall(gt, [dt], iou)
    assert curve is not None
    assert np.mean(curve.precision) == pytest.approx(evaluate_coco(gt, dt)[metric], abs=1e-9)
    truth = read_ground_truth(gt)
    rows = result_rows("dt", json.loads(dt.read_text()), truth)
    precision = evaluate_with_pycocotools(truth.dataset, rows).eval["precision"]
    chosen = {0.5: slice(0, 1), 0.75: slice(5, 6), None: slice(None)}[iou]
    expected = 100 * precision[chosen, :, :, 0, 2].mean(axis=(0, 2))
    assert curve.precision == pytest.approx(expected, abs=1e-9)
    assert curve.recall == tuple(range(101))
    assert (curve.low, curve.high) == (None, None)


def test_seeds_give_their_mean_and_its_reach(make_vector: Vectors) -> None:
    gt, dt = make_vector(seed=0, num_images=20)
    part = dt.with_name("part.json")
    part.write_text(json.dumps(json.loads(dt.read_text())[::2]))
    both = precision_recall(gt, [dt, part], 0.5)
    each = [precision_recall(gt, [path], 0.5) for path in (dt, part)]
    assert both is not None
    sides = np.array([curve.precision for curve in each if curve is not None])
    assert both.precision == pytest.approx(sides.mean(axis=0))
    assert both.low == pytest.approx(sides.min(axis=0))
    assert both.high == pytest.approx(sides.max(axis=0))


def test_no_detections_and_no_ground_truth(make_vector: Vectors) -> None:
    gt, dt = make_vector("some", seed=0, max_detections=0)
    curve = precision_recall(gt, [dt], None)
    assert curve is not None
    assert set(curve.precision) == {0.0}
    gt, dt = make_vector("none", seed=0, max_boxes=0)
    assert precision_recall(gt, [dt], None) is None


def test_what_coco_has_not_is_refused(make_vector: Vectors) -> None:
    gt, dt = make_vector(seed=0)
    with pytest.raises(UserError, match=r"IoU 0\.52: COCO's are 0\.5, 0\.55 … 0\.95"):
        precision_recall(gt, [dt], 0.52)
    with pytest.raises(UserError, match="a precision-recall curve needs at least one results"):
        precision_recall(gt, [], 0.5)
