"""What the quickstart says about its numbers."""

from typing import Any

import pytest

from projects.Quickstart.findings import findings
from projects.Quickstart.jobs import PRETRAINED, SCRATCH
from projects.studies.grid import StudyRow

FIRST, SECOND = PRETRAINED


def row(of: StudyRow, ap50: float | None, seed: int = 0) -> dict[str, Any]:
    metrics = {"AP50": ap50, "AP": ap50}
    return {"model": of.model, "pretrained": of.pretrained, "seed": seed, "metrics": metrics}


def difference(
    first: StudyRow, second: StudyRow, metric: str, value: float, seeds: int = 1
) -> dict[str, Any]:
    starts = {first.pretrained, second.pretrained}
    return {
        "first": first.label_among(starts),
        "second": second.label_among(starts),
        "metric": metric,
        "value": value,
        "low": value - 2.0,
        "high": value + 3.0,
        "confidence": 0.95,
        "num_images": 80,
        "num_seeds": seeds,
        "text": "what the statistics say",
    }


def content(*rows: dict[str, Any], differences: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"rows": list(rows), "differences": list(differences)}


@pytest.mark.parametrize(
    ("ap50", "passed", "word"), [(30.0, True, "30.0"), (29.94, False, "29.9"), (None, False, "und")]
)
def test_the_level_of_a_fine_tuned_row(ap50: float | None, passed: bool, word: str) -> None:
    (found,) = findings(content(row(FIRST, ap50)))
    assert found["passed"] is passed
    assert f"ResNet-26, pretrained: AP50 {word}" in found["text"]
    assert "at least 30 is expected" in found["text"]


def test_the_level_is_that_of_all_seeds() -> None:
    (found,) = findings(content(row(FIRST, 20.0), row(FIRST, 50.0, seed=1)))
    assert found["passed"]
    assert "AP50 35.0" in found["text"]


def test_rows_from_scratch_have_no_level_to_meet() -> None:
    assert findings(content(row(SCRATCH[0], 2.0))) == []
    assert findings(content()) == []


def test_the_gain_is_met_when_positive() -> None:
    rows = row(SCRATCH[0], 10.0), row(FIRST, 40.0)
    gain = difference(SCRATCH[0], FIRST, "AP50", 30.0)
    found = findings(content(*rows, differences=(gain,)))[-1]
    assert found["passed"]
    assert found["text"] == (
        "Pretraining takes ResNet-26 from AP50 10.0 to 40.0 in the same number of iterations: "
        "+30.0 (95 % interval over the choice of 80 held-out scenes: +28.0 to +33.0)."
    )
    loss = difference(SCRATCH[0], FIRST, "AP50", -1.0)
    assert not findings(content(*rows, differences=(loss,)))[-1]["passed"]
    undefined = findings(content(*rows))[-1]
    assert undefined == {"text": "ResNet-26: the gain is undefined.", "passed": False}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.0, "The interval holds 0"),
        (4.0, "this ResNeXt-26 30x4d is the better of these two trained networks"),
        (-4.0, "this ResNet-26 is the better of these two trained networks"),
    ],
)
def test_the_comparison_never_claims_more_than_one_seed_can(value: float, words: str) -> None:
    compared = difference(FIRST, SECOND, "AP", value)
    found = findings(content(row(FIRST, 40.0), row(SECOND, 41.0), differences=(compared,)))[-1]
    assert found["passed"] is None
    assert words in found["text"]
    assert "from seed to seed" in found["text"]
    assert found["text"].startswith("ResNeXt-26 30x4d minus ResNet-26, both pretrained: AP ")


def test_the_comparison_of_several_seeds_is_the_statistics_own() -> None:
    compared = difference(FIRST, SECOND, "AP", 4.0, seeds=3)
    found = findings(content(row(FIRST, 40.0), row(SECOND, 41.0), differences=(compared,)))[-1]
    assert found == {"text": "what the statistics say", "passed": None}


def test_rows_beside_some_from_scratch_are_named_with_their_start() -> None:
    compared = difference(FIRST, SECOND, "AP", 4.0, seeds=3)
    compared |= {"first": "ResNet-26, pretrained", "second": "ResNeXt-26 30x4d, pretrained"}
    rows = row(SCRATCH[0], 10.0), row(FIRST, 40.0), row(SECOND, 41.0)
    found = findings(content(*rows, differences=(compared,)))[-1]
    assert found["text"] == "what the statistics say"


def test_an_undefined_comparison_is_said() -> None:
    found = findings(content(row(FIRST, None), row(SECOND, None)))[-1]
    assert found == {"text": "The difference of the models is undefined.", "passed": None}
