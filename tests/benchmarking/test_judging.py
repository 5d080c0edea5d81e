"""What is near enough, by boxes, maps and losses."""

import math

import numpy as np
import pytest
import torch

from resnext_det.benchmarking.agreement import agreement, maps_difference
from resnext_det.benchmarking.judging import judge, tolerance_of
from resnext_det.structures import Detections

BOXES = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40], [50, 50, 60, 70]])
SCORES = torch.tensor([0.9, 0.8, 0.3])


def found(boxes=BOXES, scores=SCORES, classes=(0, 1, 2)):
    return Detections(boxes, scores, torch.tensor(classes))


def sent(detections):
    return [(d.boxes.numpy(), d.scores.numpy(), d.classes.numpy()) for d in detections]


def test_the_same_boxes_agree_in_any_order():
    turned = found(BOXES.flip(0), SCORES.flip(0), (2, 1, 0))
    both = agreement([found(), Detections.empty()], [turned, Detections.empty()])
    assert both.share == pytest.approx(1)
    assert (both.boxes, both.matched) == (3, 3)
    assert both.pixels == both.score == (0, 0)
    assert both.near_enough


def test_share_is_weighted_by_score():
    both = agreement([found()], [found(classes=(0, 1, 3))])  # the last is another class's
    assert both.share == pytest.approx(2 * (0.9 + 0.8) / (2 * (0.9 + 0.8 + 0.3)))
    assert both.matched == 2
    assert not both.near_enough


def test_moved_boxes_are_measured():
    both = agreement([found()], [found(BOXES + torch.tensor([1.0, 0, 1, 0]), SCORES - 0.1)])
    assert both.pixels == (1, 1)
    assert both.score == (pytest.approx(0.1), pytest.approx(0.1))
    assert both.share == pytest.approx(1)


def test_no_boxes_say_nothing():
    both = agreement([Detections.empty()], [Detections.empty()])
    assert both.share is None
    assert not both.near_enough
    verdict = judge("boxes", sent([Detections.empty()]), sent([Detections.empty()]))
    assert verdict.told == "no boxes to compare"


def test_maps_differ_by_their_norms():
    one, other = np.array([3.0, 4.0]), np.array([3.0, 4.5])
    assert maps_difference([one, one], [one, other]) == pytest.approx(0.5 / 5)
    assert judge("maps", [one], [one * 1.05]).near_enough
    assert not judge("maps", [one], [one * 1.2]).near_enough
    assert not judge("maps", [one], [one * math.nan]).near_enough
    assert not judge("maps", [one, one], [one, one * math.nan]).near_enough


@pytest.mark.parametrize(("loss", "near"), [(1.0, True), (1.05, False), (math.nan, False)])
def test_losses_are_compared_by_their_sum(loss, near):
    verdict = judge("losses", {"cls": 1.0, "box": 1.0}, {"cls": 1.0, "box": loss})
    assert verdict.near_enough is near
    assert verdict.details["losses"]["cls"] == 1.0


@pytest.mark.parametrize("wish", ["boxes", "maps", "losses"])
def test_the_tolerance_is_stated(wish):
    assert tolerance_of(wish).startswith("Near enough: ")
    assert "%" in tolerance_of(wish)
