"""AP at image weights against pycocotools on data sets with the images really repeated."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from resnext_det.evaluation.box_arrays import read_truth
from resnext_det.statistics.matches import match_detections
from resnext_det.statistics.weighted_ap import average_precision, metric_names
from tests.statistics.duplicated import reference_scores, weighted_scores

Vectors = Callable[..., tuple[Path, Path]]

CASES = {
    "plain": {},
    "crowds": {"crowd_share": 0.3},
    "crowds and ties": {"crowd_share": 0.2, "tied_scores": True},
    "ties without areas": {"tied_scores": True, "with_area": False, "num_classes": 1},
    "more than 100 detections": {"max_detections": 500, "num_images": 4, "num_classes": 2},
    "no detections": {"max_detections": 0},
    "no objects": {"max_boxes": 0},
    "few objects of many classes": {"num_classes": 12, "num_images": 6, "max_boxes": 2},
    "one image": {"num_images": 1, "tied_scores": True},
}

VECTORS = [
    "automl_tiny",
    "cocoapi100_bbox",
    "detectron2_empty_dt",
    "detectron2_empty_gt",
    "detectron2_small",
    "hotcoco_edge_gt",
    "hotcoco_gt",
    "torchmetrics_inputs",
    "torchmetrics_inputs2",
    "torchmetrics_inputs3",
]


def drawn_weights(num_images: int, seed: int, num_samples: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    rows = [np.ones(num_images, int)]
    rows += [
        np.bincount(random.integers(num_images, size=num_images), minlength=num_images)
        for _ in range(num_samples)
    ]
    return np.stack(rows)


def check_against_pycocotools(gt: Path, dt: Path, weights: np.ndarray) -> None:
    ours = weighted_scores(gt, dt, weights)
    for scores, counts in zip(ours, weights, strict=True):
        np.testing.assert_allclose(scores, reference_scores(gt, dt, counts), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES)
def test_equals_pycocotools_on_repeated_images(case: str, seed: int, make_vector: Vectors) -> None:
    settings = CASES[case]
    files = make_vector(seed=seed, **settings)
    check_against_pycocotools(*files, drawn_weights(settings.get("num_images", 12), seed))


@pytest.mark.parametrize("name", VECTORS)
def test_equals_pycocotools_on_published_vectors(name: str, shared: Callable[[str], Path]) -> None:
    folder = shared("evaluator") / name
    gt, dt = folder / "gt.json", folder / "dt.json"
    num_images = read_truth(gt).num_images
    weights = drawn_weights(num_images, 0, num_samples=1)
    check_against_pycocotools(gt, dt, weights)
    expected = json.loads((folder / "expected.json").read_text())["stats"]
    published = [expected[key] for key in ("AP", "AP50", "AP75", "APs", "APm", "APl")]
    ours = np.nan_to_num(weighted_scores(gt, dt, weights[:1])[0, :6], nan=-1)
    np.testing.assert_allclose(ours, published, rtol=0, atol=1e-12)


def write_ties(folder: Path) -> tuple[Path, Path]:
    """One image with a hit and a miss of one score, and one with a later hit."""
    boxes = {1: [[0, 0, 40, 40]], 2: [[0, 0, 40, 40]]}
    gt = {
        "images": [{"id": 1}, {"id": 2}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [
            {"id": image, "image_id": image, "category_id": 1, "bbox": box, "area": 1600}
            for image, found in boxes.items()
            for box in found
        ],
    }
    miss, hit = [200, 200, 40, 40], [0, 0, 40, 40]
    dt = [
        {"image_id": image, "category_id": 1, "bbox": box, "score": score}
        for image, box, score in ((1, miss, 0.5), (1, hit, 0.5), (2, hit, 0.25))
    ]
    (folder / "gt.json").write_text(json.dumps(gt))
    (folder / "dt.json").write_text(json.dumps(dt))
    return folder / "gt.json", folder / "dt.json"


def test_copies_of_one_image_alternate_where_scores_are_equal(tmp_path: Path) -> None:
    """Twice the first image: miss, hit, miss, hit, then a hit; not miss, miss, hit, hit, hit."""
    gt, dt = write_ties(tmp_path)
    weights = np.array([[2, 1]])
    # From each hit on, the last one's precision is the best: 3 of 5.
    assert weighted_scores(gt, dt, weights)[0, 0] == pytest.approx(0.6)
    np.testing.assert_allclose(
        weighted_scores(gt, dt, weights)[0], reference_scores(gt, dt, weights[0]), atol=1e-12
    )
    turned = json.loads(dt.read_text())
    turned[0], turned[1] = turned[1], turned[0]
    dt.write_text(json.dumps(turned))
    # Hit, miss, hit, miss, hit: precision 1 up to a recall of 1/3 (34 of 101 thresholds), then
    # 2/3 up to 2/3 (33), then 3/5 (34).
    expected = (34 * 1 + 33 * 2 / 3 + 34 * 3 / 5) / 101
    assert weighted_scores(gt, dt, weights)[0, 0] == pytest.approx(expected)
    assert reference_scores(gt, dt, weights[0])[0] == pytest.approx(expected)


def test_an_image_may_be_left_out_or_stand_often(make_vector: Vectors) -> None:
    files = make_vector(seed=5, num_images=3, tied_scores=True)
    check_against_pycocotools(*files, np.array([[0, 0, 1], [9, 0, 0], [2, 30, 1]]))


def test_parts_of_the_samples_change_nothing(
    make_vector: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images are matched and samples counted part by part, to bound the memory."""
    files = make_vector(seed=2, num_images=30)
    weights = drawn_weights(30, 1, num_samples=20)
    whole = weighted_scores(*files, weights)
    monkeypatch.setattr("resnext_det.statistics.weighted_ap._BUDGET", 200)
    monkeypatch.setattr("resnext_det.statistics.greedy_matching._BUDGET", 50)
    np.testing.assert_array_equal(weighted_scores(*files, weights), whole)


def test_no_image_and_no_sample(tmp_path: Path) -> None:
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cell"}]}
    (tmp_path / "gt.json").write_text(json.dumps(content))
    truth = read_truth(tmp_path / "gt.json")
    matches = match_detections(truth, np.zeros((0, 7)))
    assert np.isnan(average_precision(matches, np.ones((2, 0), int))).all()
    assert average_precision(matches, np.ones((0, 0), int)).shape == (0, 6)


def test_one_class_has_no_metric_of_its_own() -> None:
    assert metric_names(["cell"]) == ("AP", "AP50", "AP75", "APs", "APm", "APl")
    assert metric_names(["red", "white"])[6:] == ("AP-red", "AP-white")
