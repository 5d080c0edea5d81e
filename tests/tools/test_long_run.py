"""Whether memory and handles grow over a long run. Engine-neutral."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tools.long_run.__main__ import KEYS, main, summary
from tools.long_run.samples import Sample, watch, workers_mib
from tools.long_run.trend import growth, rise


def test_the_fit_is_that_of_the_normal_equations():
    random = np.random.default_rng(0)
    done = list(range(0, 20001, 100))
    mib = [300 + 0.02 * x / 1000 + float(random.normal()) for x in done]
    fit = growth(done, mib)
    x, y = np.array(done[100:]) / 1000, np.array(mib[100:])
    design = np.stack([np.ones_like(x), x], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    solved = inverse @ design.T @ y
    left = y - design @ solved
    error = math.sqrt(left @ left / (len(x) - 2) * inverse[1, 1])
    assert fit["mib_per_1000"] == pytest.approx(solved[1], abs=1e-4)
    assert fit["standard_error"] == pytest.approx(error, abs=1e-4)
    assert fit["samples"] == 101


@pytest.mark.parametrize(
    ("slope", "noise", "significant", "grows"),
    [(0.0, 0.0, False, False), (1.0, 0.1, True, True), (0.1, 0.01, True, False),
     (1.0, 1000.0, False, False), (-1.0, 0.1, False, False)],
)  # fmt: skip
def test_a_growth_counts_where_it_is_significant_and_above_the_bound(
    slope, noise, significant, grows
):
    done = list(range(0, 20001, 100))
    # The noise alternates, so that it has no slope of its own.
    mib = [slope * x / 1000 + noise * (-1) ** place for place, x in enumerate(done)]
    fit = growth(done, mib)
    assert (fit["is_significant"], fit["grows"]) == (significant, grows)


def test_what_never_changes_has_no_error():
    fit = growth(list(range(10)), [0.0] * 10)
    assert (fit["mib_per_1000"], fit["standard_error"], fit["grows"]) == (0.0, 0.0, False)


def test_the_end_of_a_run_does_not_count():
    steady = [sample(done, {1: 40.0}) for done in range(0, 1000, 10)]
    ending = [Sample(0.0, 1000, 90.0, {}, 0, 1, 0.0, 0)] * 20
    found = summary([*steady, *ending])
    assert found["done"] == 1000
    assert found["memory"]["workers"]["at_the_end_mib"] == 40.0
    assert found["memory"]["main"]["at_the_end_mib"] == 1.0
    assert found["handles"]["lowest_of_last_quarter"] == 1
    assert found["not_flat"] == []
    assert "workers" not in summary([sample(done, {}) for done in range(99)])["memory"]


def test_growth_before_the_second_half_does_not_count():
    done = list(range(0, 2001, 10))
    mib = [min(x, 1000) * 1.0 for x in done]
    assert growth(done, mib)["mib_per_1000"] == 0.0


@pytest.mark.parametrize("done", [[4], [0, 10, 10, 10], [0, 9, 10]])
def test_too_few_samples(done):
    with pytest.raises(ValueError, match="at least three samples"):
        growth(done, [1.0] * len(done))


def test_what_comes_and_goes_is_no_rise():
    assert not rise([10, 10, 17, 10] * 10)["rises"]
    assert rise([10 + place // 10 for place in range(40)])["rises"]


def test_workers_that_last_are_summed():
    samples = [sample(place, {1: 10.0, 2: 20.0, 100 + place: 5.0}) for place in range(5)]
    assert workers_mib(samples) == [30.0] * 5
    assert workers_mib([]) == []


def sample(done, children):
    return Sample(0.0, done, 1.0, children, 1, 1, 0.0, 0)


LEAKS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
kept, memory = [], []
for number in range(40):
    kept.append(open("/dev/null"))
    memory.append(bytearray(b"x") * 2**20)
    open(f"{sys.argv[1]}/{number}", "w").write("x" * 2**10)
    time.sleep(0.05)
child.communicate(b"")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
def test_a_process_that_leaks_is_seen(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", LEAKS, str(tmp_path)])
    samples = watch(process, tmp_path, lambda: 1, period=0.02)
    assert process.returncode == 0
    first = next(entry for entry in samples if entry.folder_files)
    last = max(samples, key=lambda entry: entry.folder_files)
    written = last.folder_files - first.folder_files
    assert written > 0
    # A sample is not a moment: one of the three may be a step further.
    assert last.handles - first.handles == pytest.approx(written, abs=2)
    assert last.main_mib - first.main_mib == pytest.approx(written, abs=2.5)
    assert len(last.children_mib) == 1


def test_the_kept_run_is_whole_and_flat():
    kept = json.loads((Path(__file__).parents[1] / "training/long_run.json").read_text())
    assert kept["command"] == "python -m tools.long_run --iterations 20000 --predictions 20000"
    assert (kept["keys"], kept["is_flat"]) == (KEYS, True)
    for part in ("training", "prediction"):
        assert kept[part]["done"] == 20000
        for fit in kept[part]["memory"].values():
            assert not fit["is_significant"] or fit["mib_per_1000"] <= kept["bound_mib_per_1000"]
        assert not any(kept[part][name]["rises"] for name in ("handles", "threads", "children"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_short_long_run(tmp_path):
    words = ["--iterations", "200", "--predictions", "600", "--period", "0.05"]
    main([*words, "--json", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["training"]["done"] > 100
    assert found["prediction"]["done"] > 300
    assert found["training"]["memory"]["main"]["at_the_end_mib"] > 50
    assert found["prediction"]["children"]["highest"] == 0
    assert found["training"]["each"][0]["handles"] > 2
