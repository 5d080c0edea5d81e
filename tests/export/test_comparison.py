"""Boxes are paired by class and overlap, whatever their places."""

import pytest
import torch

from resnext_det.export.comparison import Differences, compare
from resnext_det.structures import Detections


def detections(*rows: tuple[float, ...]) -> Detections:
    """Rows of x0, y0, x1, y1, score, class."""
    table = torch.tensor(rows).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].long())


ONE = (0.0, 0.0, 10.0, 10.0, 0.9, 0)
TWO = (50.0, 50.0, 60.0, 70.0, 0.8, 1)


def differences(expected: Detections, found: Detections, most: int = 100) -> Differences:
    return compare([expected], [found], score_thresh=0.05, most=most, margin=0.01)


def test_the_order_makes_no_difference() -> None:
    assert differences(detections(ONE, TWO), detections(TWO, ONE)) == Differences(1, 2, 0, 0.0, 0.0)


def test_the_largest_difference_counts() -> None:
    moved = (50.0, 50.25, 60.0, 70.0, 0.75, 1)
    found = differences(detections(ONE, TWO), detections(ONE, moved))
    assert found.box == pytest.approx(0.25)
    assert found.score == pytest.approx(0.05)


def test_another_class_is_no_partner() -> None:
    other = (*ONE[:5], 1)
    assert differences(detections(ONE), detections(other)) == Differences(1, 0, 2, 0.0, 0.0)


def test_a_box_elsewhere_is_no_partner() -> None:
    elsewhere = (6.0, 0.0, 16.0, 10.0, 0.9, 0)
    assert differences(detections(ONE), detections(elsewhere)).unmatched == 2


def test_a_box_at_the_threshold_may_be_missing() -> None:
    near = (80.0, 80.0, 90.0, 90.0, 0.055, 0)
    assert differences(detections(ONE, near), detections(ONE)).unmatched == 0


def test_a_box_may_be_crowded_out() -> None:
    third = (80.0, 80.0, 90.0, 90.0, 0.805, 0)
    found = differences(detections(ONE, third), detections(ONE, TWO), most=2)
    assert (found.matched, found.unmatched) == (1, 0)


def test_nothing_found() -> None:
    assert differences(detections(), detections()) == Differences(1, 0, 0, 0.0, 0.0)
    assert differences(detections(), detections(ONE)).unmatched == 1
