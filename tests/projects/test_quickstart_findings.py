"""What the quickstart says about its numbers."""

import pytest

from projects.Quickstart import findings
from projects.Quickstart.study import flat_config
from resnext_det.evaluation.compare import Difference
from resnext_det.reports.study import Row


def row(model: str, ap50: float | None, *, pretrained: bool = True, flops: float = 1.0e9) -> Row:
    return Row(model, pretrained, 0, {"AP50": ap50, "AP": ap50}, flops=flops)


def test_complexity_is_held_to_two_percent() -> None:
    first = row("A", 1.0)
    within = findings.complexity_finding(first, row("B", 1.0, flops=1.019e9), 128)
    assert within["passed"]
    assert "differ by 1.9 % (A 1.000 G, B 1.019 G on 128x128 pixels)" in within["text"]
    assert not findings.complexity_finding(first, row("B", 1.0, flops=0.979e9), 128)["passed"]


@pytest.mark.parametrize(
    ("ap50", "passed", "word"), [(30.0, True, "30.0"), (29.94, False, "29.9"), (None, False, "und")]
)
def test_the_level_of_a_fine_tuned_row(ap50: float | None, passed: bool, word: str) -> None:
    found = findings.level_finding(row("A", ap50))
    assert found["passed"] is passed
    assert f"A, pretrained: AP50 {word}" in found["text"]


def test_the_gain_is_met_when_positive() -> None:
    rows = row("A", 10.0, pretrained=False), row("A", 40.0)
    found = findings.gain_finding(*rows, Difference(30.0, 25.0, 36.0, 0.95, 80))
    assert found["passed"]
    assert "from AP50 10.0 to 40.0" in found["text"]
    assert (
        "+30.0 (95 % interval over the choice of 80 held-out scenes: +25.0 to +36.0)"
        in found["text"]
    )
    assert not findings.gain_finding(*rows, Difference(-1.0, -3.0, 1.0, 0.95, 80))["passed"]
    assert not findings.gain_finding(*rows, None)["passed"]


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (Difference(2.0, -1.0, 5.0, 0.95, 80), "The interval holds 0"),
        (Difference(4.0, 1.0, 7.0, 0.95, 80), "B is the better of these two trained networks"),
        (Difference(-4.0, -7.0, -1.0, 0.95, 80), "A is the better of these two trained networks"),
    ],
)
def test_the_comparison_never_claims_more_than_one_seed_can(
    difference: Difference, words: str
) -> None:
    found = findings.comparison_finding(row("A", 1.0), row("B", 1.0), difference)
    assert found["passed"] is None
    assert words in found["text"]
    assert "from seed to seed" in found["text"]


def test_rows_may_differ_in_what_is_compared_alone() -> None:
    configs = [
        {"SOLVER.MAX_ITER": 400, "MODEL.WEIGHTS": "a.pth"},
        {"SOLVER.MAX_ITER": 400, "MODEL.WEIGHTS": ""},
    ]
    same = findings.settings_finding(configs, ["MODEL.WEIGHTS"], ["SOLVER.MAX_ITER"])
    assert same["passed"]
    assert "MAX_ITER 400" in same["text"]
    other = findings.settings_finding([configs[0], {"SOLVER.MAX_ITER": 300}], ["MODEL.WEIGHTS"], [])
    assert not other["passed"]
    assert "SOLVER.MAX_ITER" in other["text"]


def test_nested_configs_are_flattened() -> None:
    assert flat_config({"A": {"B": {"C": [1]}}, "D": {}, "E": None}) == {"A.B.C": [1], "E": None}
