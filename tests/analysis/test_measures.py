"""Thresholds, confusion, calibration and images, against the plainest counting there is."""

from pathlib import Path

import numpy as np
import pytest
from hotcoco import COCO, COCOeval

from resnext_det.analysis.calibration import calibrate
from resnext_det.analysis.confusion import confuse
from resnext_det.analysis.errors import KINDS, find_errors
from resnext_det.analysis.images import count_images, worst_of_class, worst_of_kind
from resnext_det.analysis.scored_boxes import ScoredBoxes
from resnext_det.analysis.thresholds import GRID, curves_of_all, curves_of_class
from tests.analysis.sets import CASES, scored


def counted(boxes: ScoredBoxes, number: int | None, threshold: float) -> tuple[int, int, int]:
    """Returns TP, FP and FN one by one."""
    own = [n for n in range(len(boxes.rows)) if number in (None, boxes.classes[n])]
    kept = [n for n in own if boxes.scores[n] >= threshold and not boxes.ignored[n]]
    right = sum(bool(boxes.found[n]) for n in kept)
    truth = boxes.truth
    objects = sum(
        number in (None, truth.classes[n]) and not truth.crowd[n] for n in range(len(truth.images))
    )
    return right, len(kept) - right, objects - right


@pytest.mark.parametrize("case", CASES)
def test_curves_are_counted_one_by_one(case: str, tmp_path: Path) -> None:
    boxes, _, _ = scored(tmp_path, seed=1, **CASES[case])
    for number in (None, 0):
        found = curves_of_all(boxes) if number is None else curves_of_class(boxes, number)
        if sum(counted(boxes, number, 0)[::2]) == 0:
            assert found is None
            continue
        assert found is not None
        for place in (0, 30, 55, 100):
            right, wrong, missed = counted(boxes, number, GRID[place])
            assert found.f1[place] == pytest.approx(200 * right / (2 * right + wrong + missed))
            assert found.recall[place] == pytest.approx(100 * right / (right + missed))
            share = 100 * right / (right + wrong) if right + wrong else np.nan
            assert found.precision[place] == pytest.approx(share, nan_ok=True)
        all_f1 = {}
        for score in boxes.scores:
            right, wrong, missed = counted(boxes, number, score)
            all_f1[score] = 200 * right / (2 * right + wrong + missed)
        best = max(all_f1.values(), default=0)
        if not best:
            assert found.best is None
            continue
        assert found.best is not None
        assert found.best.f1 == pytest.approx(best)
        assert all_f1[found.best.threshold] == pytest.approx(best)


@pytest.mark.parametrize("threshold", [0.0, 0.6])
@pytest.mark.parametrize("case", [case for case in CASES if case != "crowds"])
def test_confusion_is_hotcocos(case: str, threshold: float, tmp_path: Path) -> None:
    boxes, gt, dt = scored(tmp_path, seed=2, **CASES[case])
    truth = COCO(str(gt))
    theirs = COCOeval(truth, truth.load_res(str(dt)), "bbox").confusion_matrix(
        max_det=10**6, min_score=threshold
    )
    kept = CASES[case].get("max_detections", 0) > 100  # COCO takes 100 of an image and class
    if not kept:
        np.testing.assert_array_equal(confuse(boxes, threshold).matrix, theirs["matrix"])
    found = confuse(boxes, threshold)
    assert found.matrix[:-1].sum() == boxes.sought.sum()
    assert found.matrix[:, :-1].sum() == (boxes.scores >= threshold).sum()


def test_a_detection_on_a_crowd_confuses_nobody(tmp_path: Path) -> None:
    """hotcoco counts it as one on background; COCO's AP, and this, for nothing."""
    boxes, _, _ = scored(tmp_path, seed=2, **CASES["crowds"])
    assert boxes.ignored.any()
    assert confuse(boxes, 0.0).matrix[:, :-1].sum() == (~boxes.ignored).sum()


@pytest.mark.parametrize("case", CASES)
def test_calibration_is_the_mean_gap_of_ten_ranges(case: str, tmp_path: Path) -> None:
    boxes, _, _ = scored(tmp_path, seed=4, **CASES[case])
    found = calibrate(boxes)
    ranges: dict[int, list[int]] = {}
    for n in range(len(boxes.rows)):
        if not boxes.ignored[n]:
            ranges.setdefault(min(9, int(10 * boxes.scores[n])), []).append(n)
    total = sum(map(len, ranges.values()))
    gap = sum(abs(sum(boxes.scores[n] - boxes.found[n] for n in part)) for part in ranges.values())
    assert found.error == pytest.approx(100 * gap / total if total else np.nan, nan_ok=True)
    assert found.counts.tolist() == [len(ranges.get(n, [])) for n in range(10)]


@pytest.mark.parametrize("case", CASES)
def test_images_add_up(case: str, tmp_path: Path) -> None:
    boxes, _, _ = scored(tmp_path, seed=5, **CASES[case])
    errors = find_errors(boxes)
    images = count_images(boxes, errors, 0.5)
    sums = (images.right.sum(), images.wrong.sum(), images.unfound.sum())
    assert sums == counted(boxes, None, 0.5)
    assert images.errors[:-1].sum() == images.wrong.sum()
    empty = (images.right + images.wrong + images.unfound) == 0
    assert (images.f1[empty] == 100).all()


def test_the_worst_images_come_first(tmp_path: Path) -> None:
    boxes, _, _ = scored(tmp_path, seed=6, num_images=20)
    errors = find_errors(boxes)
    for kind in range(len(KINDS) - 1):
        places = worst_of_kind(boxes, errors, kind, 3)
        scores = [boxes.scores[place.rows[0]] for place in places]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] == boxes.scores[errors.kinds == kind].max()
        assert len({place.image for place in places}) == len(places) <= 3
    missed = [len(place.objects) for place in worst_of_kind(boxes, errors, len(KINDS) - 1, 3)]
    assert missed == sorted(missed, reverse=True)
    worst = worst_of_class(boxes, 0, 0.5, 30)
    _, wrong, unfound = counted(boxes, 0, 0.5)
    assert sum(len(place.rows) for place, _ in worst) == wrong
    assert sum(len(place.objects) for place, _ in worst) == unfound
