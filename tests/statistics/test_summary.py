"""Mean, spread and Student's interval against textbook formulas and scipy."""

import statistics

import numpy as np
import pytest
import scipy.stats

from resnext_det.statistics.summary import Summary, summarise, t_interval

VALUES = [1.5, 2.0, -0.5, 3.25, 0.75]


def test_it_is_the_sample_standard_deviation() -> None:
    found = summarise(VALUES)
    assert found.mean == pytest.approx(statistics.mean(VALUES), abs=1e-12)
    assert found.std == pytest.approx(statistics.stdev(VALUES), abs=1e-12)
    assert found.n == 5


def test_few_values() -> None:
    assert summarise([]) == Summary(None, None, 0)
    assert summarise([None, None]) == Summary(None, None, 0)
    assert summarise([4.0, None]) == Summary(4.0, None, 1)
    assert summarise([4.0, 4.0]) == Summary(4.0, 0.0, 2)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("number", [2, 3, 5])
def test_the_t_interval_is_scipys(number: int, confidence: float) -> None:
    expected = scipy.stats.ttest_1samp(VALUES[:number], 0).confidence_interval(confidence)
    assert t_interval(VALUES[:number], confidence) == pytest.approx(tuple(expected), abs=1e-10)


def test_the_quantile_of_five_seeds() -> None:
    """t(0.975, 4) is 2.776 in any table."""
    low, high = t_interval(VALUES, 0.95) or (np.nan, np.nan)
    assert (high - low) / 2 == pytest.approx(2.776 * statistics.stdev(VALUES) / 5**0.5, abs=1e-3)


def test_one_value_has_no_interval_and_equal_ones_no_width() -> None:
    assert t_interval([2.0], 0.95) is None
    assert t_interval([], 0.95) is None
    assert t_interval([2.0, 2.0], 0.95) == (2.0, 2.0)
