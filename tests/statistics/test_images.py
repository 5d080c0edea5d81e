"""The images on which two detectors differ most, by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from resnext_det.statistics.images import ImageDifference, largest_differences

Vectors = Callable[..., tuple[Path, Path]]

HIT, HALF, MISS = [0, 0, 40, 40], [0, 0, 40, 30], [300, 300, 40, 40]


def found(image: int, box: list[int], score: float = 0.9, category: int = 1) -> dict:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., list[ImageDifference]]:
    """Compares two detectors on images 1 … 4 with one object each, and 5 with none."""
    gt = {
        "images": [{"id": image} for image in (5, 1, 2, 3, 4)],
        "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "other"}],
        "annotations": [
            {"id": image, "image_id": image, "category_id": 1, "bbox": HIT, "area": 1600}
            for image in (1, 2, 3, 4)
        ],
    }
    gt["annotations"].append(
        {"id": 9, "image_id": 4, "category_id": 1, "bbox": MISS, "area": 1600, "iscrowd": 1}
    )
    (tmp_path / "gt.json").write_text(json.dumps(gt))

    def largest(first: list, second: list, count: int = 5) -> list[ImageDifference]:
        for name, records in (("first", first), ("second", second)):
            (tmp_path / f"{name}.json").write_text(json.dumps(records))
        return largest_differences(
            tmp_path / "gt.json", tmp_path / "first.json", tmp_path / "second.json", count
        )

    return largest


def test_the_score_is_f1_over_ten_ious(compare: Callable[..., list[ImageDifference]]) -> None:
    first = [found(1, HIT), found(2, HIT), found(3, HIT), found(4, HIT)]
    second = [
        found(1, HALF),  # an IoU of 0.75: found at six of the ten
        *(found(2, HIT), found(2, MISS, category=2)),  # one of two: F1 is 2 / 3
        found(4, HIT),  # and the crowd's box, which counts for nothing
        found(4, MISS),
        found(5, MISS),  # nothing was to be found
    ]
    sides = {d.image_id: (d.first, d.second) for d in compare(first, second)}
    assert sides == {
        1: pytest.approx((100, 60)),
        2: pytest.approx((100, 200 / 3)),
        3: pytest.approx((100, 0)),
        5: pytest.approx((100, 0)),
    }


def test_the_largest_come_first_then_the_order_of_ids(
    compare: Callable[..., list[ImageDifference]],
) -> None:
    first = [found(1, HALF), found(3, HIT), found(4, HIT)]
    second = [found(2, HIT), found(1, HIT)]
    assert [d.image_id for d in compare(first, second)] == [2, 3, 4, 1]
    assert [d.image_id for d in compare(first, second, 2)] == [2, 3]
    assert [d.difference for d in compare(first, second, 2)] == [100, -100]
    assert compare(first, second, 0) == []


def test_what_would_not_be_drawn_does_not_count(
    compare: Callable[..., list[ImageDifference]],
) -> None:
    assert compare([found(1, HIT, 0.49)], []) == []
    assert [d.image_id for d in compare([found(1, HIT, 0.5)], [])] == [1]


def test_equal_detectors_differ_nowhere(make_vector: Vectors) -> None:
    gt, dt = make_vector(seed=0)
    assert largest_differences(gt, dt, dt, 4) == []
