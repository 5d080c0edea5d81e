"""Suppression of many groups at once against torchvision's, box by box."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import batched_nms as theirs

from resnext_det.acceleration import suppression
from resnext_det.acceleration.suppression import batched_nms, keep_of_groups, kept, overlap_more


def drawn(seed: int, count: int, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes on a grid of quarters, whose overlaps are the same under torchvision's shifts."""
    draw = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, 400, (count, 2), generator=draw) / 4
    sides = torch.randint(0, 200, (count, 2), generator=draw) / 4
    boxes = torch.cat([corners, corners + sides], dim=1)
    scores = torch.randperm(count, generator=draw) / max(count, 1)
    return boxes, scores, torch.randint(0, groups, (count,), generator=draw)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize(("count", "groups"), [(0, 1), (1, 1), (2, 2), (60, 1), (300, 5), (40, 90)])
@pytest.mark.parametrize("pairs_at_once", [suppression.PAIRS_AT_ONCE, 0], ids=["all", "by group"])
def test_what_is_kept_is_torchvisions(
    count: int, groups: int, threshold: float, pairs_at_once: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(suppression, "PAIRS_AT_ONCE", pairs_at_once)
    for seed in range(5):
        boxes, scores, of = drawn(seed, count, groups)
        expected = theirs(boxes, scores, of, threshold)
        assert torch.equal(batched_nms(boxes, scores, of, threshold), expected)


def test_equal_scores_keep_the_order_given():
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 10, 9]])
    scores, of = torch.ones(3), torch.zeros(3, dtype=torch.int64)
    assert batched_nms(boxes, scores, of, 0.5).tolist() == [0, 1]


def test_groups_that_do_not_fit_at_once_come_out_the_same(monkeypatch: pytest.MonkeyPatch):
    boxes, scores, of = drawn(1, 200, 7)
    expected = batched_nms(boxes, scores, of, 0.4)
    monkeypatch.setattr(suppression, "PAIRS_AT_ONCE", 1)
    assert torch.equal(batched_nms(boxes, scores, of, 0.4), expected)


def test_too_many_pairs_are_torchvisions(monkeypatch: pytest.MonkeyPatch):
    boxes, scores, of = drawn(2, 50, 3)
    called = []
    monkeypatch.setattr(suppression, "PAIRS_AT_ONCE", 0)
    monkeypatch.setattr(suppression, "MAX_PAIRS", 10)
    monkeypatch.setattr(
        suppression, "one_after_another", lambda *a: called.append(True) or theirs(*a)
    )
    assert torch.equal(batched_nms(boxes, scores, of, 0.4), theirs(boxes, scores, of, 0.4))
    assert called == [True]


def test_unusable_boxes_are_not_kept_and_suppress_none():
    box = torch.tensor([0.0, 0, 10, 10])
    boxes = box.expand(1, 3, 4)
    keep, _ = keep_of_groups(boxes, torch.tensor([[False, True, True]]), 0.5)
    assert keep.tolist() == [[False, True, False]]


@pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
def test_no_group_and_no_box(shape: tuple[int, int]):
    keep, settled = keep_of_groups(torch.zeros(*shape, 4), torch.ones(shape).bool(), 0.5)
    assert keep.shape == shape
    assert bool(settled)


def test_rounds_say_whether_they_were_enough():
    # Each box overlaps the next by 0.6 alone: a chain, whose end is settled last.
    start = torch.arange(9.0)[:, None] * 2.5
    chain = torch.cat([start, torch.zeros(9, 1), start + 10, torch.ones(9, 1)], dim=1)[None]
    more, usable = overlap_more(chain, 0.59), torch.ones(1, 9, dtype=torch.bool)
    right = [[True, False] * 4 + [True]]
    keep, settled = kept(more, usable)
    assert keep.tolist() == right
    assert bool(settled)
    assert not bool(kept(more, usable, rounds=3)[1])  # without a number it is asked on
    keep, settled = kept(more, usable, rounds=12)
    assert keep.tolist() == right
    assert bool(settled)
