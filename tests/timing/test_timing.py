"""What the studies of speed share: alternation, medians and ratios with intervals, conditions."""

import itertools
import json
import sys
import time

import numpy as np
import pytest
from scipy import stats

from resnext_det.timing.alternation import alternate, balanced_orders
from resnext_det.timing.conditions import conditions
from resnext_det.timing.intervals import median_interval, ratio
from resnext_det.timing.results import write_results


def test_ratio_is_the_median_over_the_rounds():
    times = [{"theirs": 2.0, "ours": value} for value in (2.0, 3.0, 10.0)]
    found = ratio(times, "ours", "theirs")
    assert found.median == 1.5
    assert (found.low, found.high) == (1.0, 5.0)  # the smallest and the largest ratio
    inverse = ratio(times, "theirs", "ours")
    assert inverse.median == pytest.approx(1 / 1.5)


def test_every_order_is_taken_and_every_step_timed_once_a_round():
    order = []
    steps = {name: lambda name=name: order.append(name) for name in ("a", "b", "c")}
    found = alternate(steps, 6)
    taken = [tuple(order[i : i + 3]) for i in range(0, 18, 3)]
    assert sorted(taken) == sorted(itertools.permutations("abc"))
    assert found.keys() == {"wall", "cpu"}
    for rounds in found.values():
        assert len(rounds) == 6
        assert all(list(seconds) == ["a", "b", "c"] for seconds in rounds)


def test_processor_time_is_that_of_the_work_alone():
    found = alternate({"sleeps": lambda: time.sleep(0.05)}, 2)
    assert all(seconds["sleeps"] >= 0.05 for seconds in found["wall"])
    assert all(seconds["sleeps"] < 0.04 for seconds in found["cpu"])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9])
def test_orders_are_balanced_in_places_and_neighbours(count):
    names = [str(number) for number in range(count)]
    orders = list(balanced_orders(names))
    times = 2 if count % 2 else 1
    assert len(orders) == count * times
    for place in range(count):
        taken = sorted(order[place] for order in orders)
        assert taken == sorted(names * times)
    pairs = sorted(pair for order in orders for pair in itertools.pairwise(order))
    assert pairs == sorted(list(itertools.permutations(names, 2)) * times)


def test_nothing_to_time():
    assert alternate({}, 0) == {"wall": [], "cpu": []}


def test_interval_is_about_that_of_the_binomial_formula():
    """Of n draws, order statistics bound the median at 95 %: ranks of the binomial (n, 1/2)."""
    values = np.random.default_rng(3).normal(size=200)
    found = median_interval(list(values))
    low, high = stats.binom(200, 0.5).ppf([0.025, 0.975]).astype(int)
    ordered = np.sort(values)
    assert found.median == np.median(values)
    assert found.low == pytest.approx(ordered[low], abs=0.05)
    assert found.high == pytest.approx(ordered[high], abs=0.05)


def test_conditions_say_what_was_run_where(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "--batch", "8"])
    found = conditions("projects/Some/run.py")
    assert found["command"] == "python projects/Some/run.py --batch 8"
    assert {"machine", "cpu", "cores"} <= found["hardware"].keys()
    assert {"python", "torch"} <= found["versions"].keys()
    assert len(found["load_average_at_the_end"]) == 3


def test_results_are_json_with_one_line_a_round(tmp_path):
    result = {
        "command": "run.py [--json {x}]",
        "empty": {},
        "rounds": {"wall": [{"a": 1.0, "b": 2.0}, {"a": float("nan"), "b": 3.0}], "cpu": []},
        "orders": [[1, 2], [3]],
    }
    write_results(tmp_path / "new" / "file.json", result)
    text = (tmp_path / "new" / "file.json").read_text()
    result["rounds"]["wall"][1]["a"] = None
    assert json.loads(text) == result
    assert '   {"a": 1.0, "b": 2.0},\n   {"a": null, "b": 3.0}\n' in text
    assert text.endswith("}\n")
