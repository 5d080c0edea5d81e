"""The plain sentence of each verdict."""

from dataclasses import replace

import pytest

from resnext_det.statistics.bootstrap import PairedDifference
from resnext_det.statistics.sentences import difference_sentence, signed

LARGER = PairedDifference(
    metric="AP50",
    value=1.24,
    low=0.4,
    high=2.0,
    confidence=0.95,
    num_images=73,
    num_seeds=5,
    per_seed=(1.0, 1.2, 1.1, 1.5, 1.4),
    t_low=0.97,
    t_high=1.5,
    verdict="larger",
)


def test_larger_and_smaller() -> None:
    assert difference_sentence(LARGER, "ResNet-50", "ResNeXt-50 32x4d") == (
        "ResNeXt-50 32x4d has a larger AP50 than ResNet-50: +1.2 (95 % intervals: +0.4 to +2.0 "
        "over 73 images and 5 seeds, +1.0 to +1.5 over the seeds alone)."
    )
    smaller = replace(LARGER, value=-1.24, low=-2.0, high=-0.4, verdict="smaller")
    assert difference_sentence(smaller, "A", "B").startswith(
        "B has a smaller AP50 than A: -1.2 (95 % intervals: -2.0 to -0.4 over"
    )


def test_not_told_apart() -> None:
    found = replace(LARGER, low=-0.04, verdict="not told apart")
    assert difference_sentence(found, "A", "B") == (
        "B and A are not told apart in AP50 by this much data: +1.24 (95 % intervals: -0.04 to "
        "+2.00 over 73 images and 5 seeds, +0.97 to +1.50 over the seeds alone)."
    )


def test_no_end_is_printed_as_0_that_is_not() -> None:
    close = replace(LARGER, low=0.03)
    assert "+0.03 to +2.00" in difference_sentence(close, "A", "B")
    assert "0.0 to +2.0 " in difference_sentence(replace(LARGER, low=0.0), "A", "B")


def test_one_seed_speaks_of_two_networks() -> None:
    one = replace(LARGER, num_seeds=1, num_images=1, t_low=None, t_high=None, verdict=None)
    assert difference_sentence(one, "A", "B") == (
        "With one seed each, this compares two trained networks, not architectures: B minus A is "
        "+1.2 in AP50 (95 % interval over 1 image: +0.4 to +2.0)."
    )


@pytest.mark.parametrize(
    ("value", "text"), [(0.04, "0.0"), (-0.04, "0.0"), (0.0, "0.0"), (-0.06, "-0.1"), (12, "+12.0")]
)
def test_nothing_has_no_sign(value: float, text: str) -> None:
    assert signed(value) == text
