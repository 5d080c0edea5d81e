"""Matching a crowded image in parts, without what lies apart. Portable."""

import pytest
import torch

from resnext_det.engines.portable import crowds, matching
from resnext_det.engines.portable.matching import Matcher, pairwise_iou


def boxes_of(number: int, seed: int) -> torch.Tensor:
    """Whole-numbered boxes, so that many overlaps are equal."""
    corners = torch.randint(0, 12, (number, 2), generator=torch.Generator().manual_seed(seed))
    sizes = torch.randint(1, 9, (number, 2), generator=torch.Generator().manual_seed(seed + 1))
    return torch.cat([corners, corners + sizes], dim=1).float()


@pytest.mark.parametrize("low_quality", [False, True])
@pytest.mark.parametrize("pairs", [1, 50, 333])
@pytest.mark.parametrize("apart", [False, True])
def test_in_parts_is_as_at_once(
    low_quality: bool, pairs: int, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    matcher = Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=low_quality)
    boxes, candidates = boxes_of(41, 0), boxes_of(50, 7)
    if apart:  # of two sizes, and most without an overlap
        boxes, candidates = boxes * 7 % 97, candidates * 5 % 89
        boxes[:, 2:], candidates[:, 2:] = boxes[:, :2] + 4, candidates[:, :2] + 5
        boxes[::4, 2:] += 20
        boxes[1], candidates[1] = torch.tensor([[3.0, 3, 3, 9]]), torch.tensor([[3.0, 3, 3, 9]])
    matches, labels = matcher(pairwise_iou(boxes, candidates))
    monkeypatch.setattr(matching, "MOST_PAIRS", 1)
    monkeypatch.setattr(crowds, "_MOST_PAIRS", pairs)
    monkeypatch.setattr(crowds, "_ROWS", 6)
    found, found_labels = matcher.match(boxes, candidates)
    assert torch.equal(found, matches)
    assert torch.equal(found_labels, labels)
    assert found_labels.dtype == labels.dtype


@pytest.mark.parametrize("counts", [(0, 5), (5, 0), (0, 0)])
def test_empty_inputs(counts: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MOST_PAIRS", 1)
    matcher = Matcher([0.5], [0, 1])
    matches, labels = matcher.match(boxes_of(counts[0], 0), boxes_of(counts[1], 1))
    assert matches.tolist() == labels.tolist() == [0] * counts[1]


def test_each_box_is_in_one_neighbourhood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "_ROWS", 4)
    groups = list(crowds.neighbourhoods(boxes_of(41, 0)))
    assert sorted(torch.cat(groups).tolist()) == list(range(41))
    assert all(0 < len(group) <= 4 and group.tolist() == sorted(group) for group in groups)
    assert list(crowds.neighbourhoods(torch.zeros(0, 4))) == []


def test_overlaps_are_those_of_torchvision_to_the_bit() -> None:
    corners = torch.rand(90, 2, generator=torch.Generator().manual_seed(0)) * 100
    sizes = torch.rand(90, 2, generator=torch.Generator().manual_seed(1)) * 60
    boxes = torch.cat([corners, corners + sizes], dim=1)
    boxes[:3, 2:] = boxes[:3, :2]
    found = crowds.overlaps(boxes[:40], boxes.T.contiguous())
    assert torch.equal(found, pairwise_iou(boxes[:40], boxes))


def test_work_grows_with_the_boxes_where_each_has_as_many_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Overlaps that are computed: of all pairs, four times the boxes would make sixteen times."""
    overlaps, pairs = crowds.overlaps, []

    def counting(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        pairs.append(len(boxes) * others.shape[1])
        return overlaps(boxes, others)

    monkeypatch.setattr(crowds, "overlaps", counting)
    found = []
    for number in (4000, 16000):
        pairs.clear()
        places = torch.arange(number, dtype=torch.float32)
        width = round((number / 1000) ** 0.5 * 100)  # of a row of places, 2 pixels from another
        corners = 2 * torch.stack([places % width, places // width], dim=1)
        boxes = torch.cat([corners, corners + 7], dim=1)
        crowds.best_overlaps(boxes, boxes)
        found.append(sum(pairs))
    assert found[1] < 5 * found[0] < 0.1 * 16000**2


def test_a_batch_of_images_is_matched_as_each(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)  # elsewhere each is matched by itself
    draw = torch.Generator().manual_seed(0)
    corners = 50 * torch.rand(40, 2, generator=draw)
    anchors = torch.cat([corners, corners + 20], dim=1)
    boxes = [anchors[:3] + 2, anchors[:0], anchors[5:10] + 1]
    matcher = Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True)
    for found, image in zip(matcher.match_batch(boxes, anchors), boxes, strict=True):
        for one, other in zip(found, matcher.match(image, anchors), strict=True):
            assert torch.equal(one, other)
