"""Matching a crowded image in parts. Portable."""

import pytest
import torch

from resnext_det.engines.portable import matching
from resnext_det.engines.portable.matching import Matcher, pairwise_iou


def boxes_of(number: int, seed: int) -> torch.Tensor:
    """Whole-numbered boxes, so that many overlaps are equal."""
    corners = torch.randint(0, 12, (number, 2), generator=torch.Generator().manual_seed(seed))
    sizes = torch.randint(1, 9, (number, 2), generator=torch.Generator().manual_seed(seed + 1))
    return torch.cat([corners, corners + sizes], dim=1).float()


@pytest.mark.parametrize("low_quality", [False, True])
@pytest.mark.parametrize("pairs", [1, 50, 333])
def test_in_parts_is_as_at_once(
    low_quality: bool, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    matcher = Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=low_quality)
    boxes, candidates = boxes_of(41, 0), boxes_of(50, 7)
    matches, labels = matcher(pairwise_iou(boxes, candidates))
    monkeypatch.setattr(matching, "MOST_PAIRS", pairs)
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
