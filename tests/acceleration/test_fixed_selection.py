"""The last selection in fixed shapes against the one in shapes as they come."""

import pytest
import torch

from resnext_det.acceleration import recorded
from resnext_det.acceleration.batch_selection import Limits, select
from resnext_det.acceleration.fixed_selection import Selection, select_among
from resnext_det.acceleration.fixed_shapes import Predictions
from resnext_det.acceleration.recorded import RecordedDetector
from resnext_det.structures import Detections
from tests.acceleration.tiny import assert_near, samples, tiny

SIZES = torch.tensor([[60.0, 80], [50, 70], [60, 60]])


def limits(topk: int) -> Limits:
    return Limits(score_thresh=0.2, nms_thresh=0.4, topk=topk)


def drawn(one_box: bool = False, images: int = 3) -> Predictions:
    """40 regions of each image with 3 classes, some of which are not usable or not finite."""
    draw = torch.Generator().manual_seed(5)
    shape = (images, 40, 1 if one_box else 3)
    corners = torch.rand(*shape, 2, generator=draw) * 60 - 5
    sides = torch.rand(*shape, 2, generator=draw) * 30
    boxes = torch.cat([corners, corners + sides], dim=-1)
    boxes[0, 3] = torch.inf
    usable = torch.rand(images, 40, generator=draw) > 0.1
    # Of 50 values, so that some scores are equal.
    probabilities = (torch.rand(images, 40, 4, generator=draw) * 50).round() / 50
    return Predictions(boxes, probabilities, usable, torch.tensor(True))


def counted(selection: Selection) -> list[Detections]:
    return selection.detections(selection.counts.tolist())


def assert_equal(found: list[Detections], expected: list[Detections]) -> None:
    assert [len(f) for f in found] == [len(e) for e in expected]
    for some, others in zip(found, expected, strict=True):
        assert torch.equal(some.boxes, others.boxes)
        assert torch.equal(some.scores, others.scores)
        assert torch.equal(some.classes, others.classes)


@pytest.mark.parametrize("one_box", [True, False])
@pytest.mark.parametrize("topk", [-1, 0, 1, 10, 100, 1000])
def test_the_same_is_selected(topk: int, one_box: bool):
    found = drawn(one_box)
    expected = select(found, SIZES, SIZES * 2, limits(topk))
    assert topk == 0 or sum(map(len, expected)) > 2
    selection = select_among(found, SIZES, SIZES * 2, limits(topk), candidates=120, rounds=16)
    assert bool(selection.complete)
    assert_equal(counted(selection), expected)


def test_boxes_outside_the_image_are_none():
    found = drawn()
    found.boxes[:, ::2] += 200
    expected = select(found, SIZES, SIZES, limits(50))
    selection = select_among(found, SIZES, SIZES, limits(50), candidates=120, rounds=16)
    assert 0 < sum(map(len, expected)) < selection.boxes.shape[0] * selection.boxes.shape[1]
    assert_equal(counted(selection), expected)


def test_which_of_equal_scores_are_candidates_is_open():
    boxes = torch.arange(100.0)[None, :, None, None] * 10 + torch.tensor([0.0, 0, 5, 5])
    probabilities = torch.tensor([1.0, 0]).expand(1, 100, 2)
    usable = torch.ones(1, 100, dtype=torch.bool)
    found, size = (
        Predictions(boxes, probabilities, usable, torch.tensor(True)),
        torch.full((1, 2), 2e3),
    )
    few = select_among(found, size, size, limits(3), candidates=10, rounds=16)
    assert not bool(few.complete)


def test_few_candidates_suffice_where_they_fill_the_answer():
    found = drawn()
    few = select_among(found, SIZES, SIZES, limits(5), candidates=30, rounds=16)
    assert bool(few.complete)
    assert_equal(counted(few), select(found, SIZES, SIZES, limits(5)))


@pytest.mark.parametrize("topk", [-1, 20, 100])
def test_too_few_candidates_are_noticed(topk: int):
    few = select_among(drawn(), SIZES, SIZES, limits(topk), candidates=20, rounds=16)
    assert not bool(few.complete)


def test_too_few_rounds_are_noticed():
    one = select_among(drawn(), SIZES, SIZES, limits(9), candidates=120, rounds=1)
    assert not bool(one.complete)


@pytest.mark.parametrize("candidates", [1, 1024])
@torch.no_grad()
def test_a_detector_selects_anew_where_candidates_were_too_few(
    candidates: int, monkeypatch: pytest.MonkeyPatch
):
    model, images = tiny(), samples((64, 96), (50, 70))
    anew = []
    monkeypatch.setattr(recorded, "CANDIDATES", candidates)
    monkeypatch.setattr(recorded, "select", lambda *a, **k: anew.append(True) or select(*a, **k))
    assert_near(RecordedDetector(model)(images), model(images))
    assert bool(anew) == (candidates == 1)
