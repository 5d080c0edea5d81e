"""A choice between near ties is told from a difference."""

import torch

from resnext_det.export.comparison import Differences, compare
from resnext_det.export.proving import Proof, Tolerances
from resnext_det.export.source import read_source
from resnext_det.export.ties import Candidates, Ties
from resnext_det.inference.images import read_pixels
from resnext_det.structures import Detections
from tests.export.conftest import Trained
from tests.export.test_comparison import ONE, TWO, detections

# Overlaps ONE by 0.67, and is scored like it but for the last bits.
RIVAL = (0.0, 2.0, 10.0, 12.0, 0.8999, 0)


def tied(
    expected: Detections, found: Detections, boxes: Detections, more: Detections | None = None
) -> Differences:
    candidates = Candidates(boxes, boxes if more is None else more)
    ties = Ties(box=0.1, score=0.001, nms_thresh=0.5, candidates=lambda place: candidates)
    return compare([expected], [found], score_thresh=0.05, most=100, margin=0.001, ties=ties)


def test_the_rival_of_a_near_tie_is_counted_apart() -> None:
    candidates = detections(ONE, RIVAL, TWO)
    found = tied(detections(ONE, TWO), detections(RIVAL, TWO), candidates)
    assert found == Differences(1, 1, 0, 0.0, 0.0, tied=1)


def test_a_better_rival_is_no_tie() -> None:
    worse = (*RIVAL[:4], 0.85, 0)
    found = tied(detections(ONE, TWO), detections(worse, TWO), detections(ONE, worse, TWO))
    assert (found.matched, found.tied) == (2, 0)
    assert found.box == 2.0


def test_unless_it_comes_of_another_proposal() -> None:
    worse = (*RIVAL[:4], 0.85, 0)
    candidates = detections(ONE, TWO)
    found = tied(detections(ONE), detections(worse), candidates, detections(ONE, worse, TWO))
    assert found == Differences(1, 0, 0, 0.0, 0.0, tied=1)


def test_what_the_detector_never_computed_is_no_tie() -> None:
    shifted = (0.5, 0.5, 10.5, 10.5, 0.9, 0)
    found = tied(detections(ONE), detections(shifted), detections(ONE, RIVAL))
    assert (found.box, found.tied) == (0.5, 0)


def test_an_overlap_at_the_threshold_may_suppress() -> None:
    half = (0.0, 0.0, 10.0, 5.001, 0.7, 0)  # overlaps ONE by 0.5001
    candidates = detections(ONE, half)
    assert tied(detections(ONE, half), detections(ONE), candidates).tied == 1
    third = (0.0, 0.0, 10.0, 3.3, 0.7, 0)
    found = tied(detections(ONE, third), detections(ONE), detections(ONE, third))
    assert (found.unmatched, found.tied) == (1, 0)


def test_no_box_on_either_side() -> None:
    assert tied(detections(), detections(), detections()) == Differences(1, 0, 0, 0.0, 0.0)
    assert tied(detections(ONE), detections(), detections(ONE)).unmatched == 1
    assert tied(detections(), detections(ONE), detections(ONE)).unmatched == 1


def test_few_may_be_chosen_otherwise() -> None:
    tolerances = Tolerances(0.1, 0.001, 0.1)

    def problems(matched: int, ties: int) -> list[str]:
        found = Differences(1, matched, 0, 0.0, 0.0, ties)
        return Proof("", found, None).box_problems(tolerances)

    assert problems(3, 1) == problems(100, 2) == []
    assert problems(100, 3) == [
        "3 boxes beside 100 are chosen otherwise, more than near ties explain"
    ]


def test_candidates_hold_all_that_is_given(portable: Trained) -> None:
    source = read_source(portable.checkpoint)
    pixels = read_pixels(str(portable.images[0]))
    given, candidates = source.detector.detect([pixels])[0], source.candidates(pixels)
    assert 0 < len(given) < len(candidates.boxes) < len(candidates.more)
    ties = Ties(1e-3, 1e-4, 0.5, lambda place: candidates).at(0, given, given)
    assert torch.equal(ties.expected, torch.ones(len(given), dtype=torch.bool))
