"""The speed comparison: its arithmetic on made-up times, and what each contestant computes."""

import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from projects.SpeedComparison import contestants, measure, operations, run, tables, verdict
from projects.SpeedComparison.contestants import Setting
from resnext_det.reports.page_tables import insert

NAMES = ("theirs", "again", "ours")
RESULTS = sorted(Path(run.__file__).parent.glob("results/*.json"))


def made_up(ours: float, noise: float, rounds: int = 30, again: float = 1.0):
    """Rounds in which `ours` takes that multiple of Detectron2's second."""
    draw = np.random.default_rng(1)
    factors = {"theirs": 1.0, "again": again, "ours": ours}
    return [
        {name: factor * float(np.exp(noise * draw.normal())) for name, factor in factors.items()}
        for _ in range(rounds)
    ]


def test_spread_is_how_far_the_second_of_the_same_reaches_from_one():
    fast = verdict.judge(made_up(1.0, 0.0, again=0.8))
    slow = verdict.judge(made_up(1.0, 0.0, again=1.25))
    assert fast["spread"] == pytest.approx(0.25)
    assert slow["spread"] == pytest.approx(0.25)
    assert slow["again/theirs"] == {"median": 1.25, "low": 1.25, "high": 1.25}
    assert slow["seconds"] == {"theirs": 1.0, "again": 1.25, "ours": 1.0}


@pytest.mark.parametrize(
    ("ours", "noise", "expected"),
    [
        (1.0, 0.01, "not slower"),
        (0.5, 0.01, "not slower"),
        (0.5, 0.5, "not slower"),  # a coarse measurement of something far faster
        (1.1, 0.01, "slower"),
        (1.02, 0.0, "slower"),
        (1.0, 0.5, "undecided"),  # too coarse
        (1.2, 0.5, "undecided"),
    ],
)
def test_verdict(ours, noise, expected):
    assert verdict.judge(made_up(ours, noise))["verdict"] == expected


def test_the_same_rounds_give_the_same_verdict():
    times = made_up(1.01, 0.05)
    assert verdict.judge(times) == verdict.judge(times)


def test_operations_are_counted_with_the_shapes_of_their_results():
    weight = torch.ones(2, 3, requires_grad=True)

    def step():
        (torch.ones(4, 2) @ weight).sum().backward()

    found = operations.operations(step)
    assert found["aten.mm.default", (4, 3)] == 1
    assert found["aten.mm.default", (2, 3)] == 1  # the weight's gradient
    product = ("aten.mm.default", (4, 3))
    both = {"theirs": Counter({product: 1}), "ours": Counter({product: 2})}
    compared = measure.compare_operations(both)
    assert compared["operations"] == {"theirs": 1, "ours": 2}
    assert compared["operations_unlike"] == ["('aten.mm.default', (4, 3))"]


def test_calls_are_counted_whether_in_python_or_in_c():
    def inner():
        return len("")

    once = operations.python_calls(inner)
    assert operations.python_calls(lambda: [inner(), inner()]) == 2 * once + 1


def test_difference_is_of_the_largest_value():
    theirs = {"p2": torch.tensor([1.0, -4.0])}
    assert measure.difference(theirs, {"p2": torch.tensor([1.0, -3.0])}) == 0.25
    assert measure.difference(theirs, theirs) == 0.0


@pytest.mark.d2
@pytest.mark.parametrize("norm", run.NORMS)
def test_all_three_do_the_same_operations_to_the_same_end(tmp_path, norm):
    """So that only the Python around them can differ in speed."""
    setting = Setting(64, 96, 2)
    dataset = contestants.write_images(tmp_path, setting, 2)
    built = contestants.build_contestants(contestants.config("tiny", norm, setting), dataset)
    for what, mode in itertools.product(measure.PARTS, measure.MODES):
        steps = {name: contestant.step(what, mode) for name, contestant in built.items()}
        found = {name: operations.operations(step) for name, step in steps.items()}
        assert found["theirs"].total() > 100
        assert found["ours"] == found["theirs"] == found["again"]
        calls = {name: operations.python_calls(step) for name, step in steps.items()}
        assert 500 < calls["ours"] <= calls["theirs"] == calls["again"]
        # After the updates, too.
        assert measure.difference(built["theirs"].maps(), built["ours"].maps()) == 0


@pytest.mark.d2
def test_a_run_writes_rounds_from_which_its_verdicts_follow(tmp_path):
    path = tmp_path / "speed.json"
    size = ["--height", "32", "--width", "64", "--rounds", "2", "--builds", "1"]
    chosen = ["--nets", "tiny", "--norms", "BN", "--parts", "backbone", "--max-builds", "2"]
    status = run.main([*size, *chosen, "--json", str(path)])
    check_kept(path)
    rows = json.loads(path.read_text())["rows"]
    assert [row["mode"] for row in rows] == ["train", "infer"]
    for row in rows:
        assert len(row["rounds"]["wall"]) == len(row["rounds"]["cpu"])
        assert len(row["rounds"]["wall"]) in (2, 4)
    found = {row["clocks"][clock]["verdict"] for row in rows for clock in row["clocks"]}
    assert status == (0 if found == {"not slower"} else 1)


@pytest.mark.d2
@pytest.mark.gpu
def test_on_a_gpu_the_wall_clock_alone_counts(tmp_path):
    path = tmp_path / "speed.json"
    size = ["--height", "64", "--width", "96", "--rounds", "2", "--builds", "1"]
    run.main([*size, "--nets", "tiny", "--device", "cuda", "--json", str(path)])
    rows = json.loads(path.read_text())["rows"]
    assert len(rows) == 8
    assert {tuple(row["clocks"]) for row in rows} == {("wall",)}


@pytest.mark.parametrize(("noise", "rounds"), [(0.001, 8), (0.5, 12)])
def test_only_an_undecided_case_gets_further_rounds(monkeypatch, noise, rounds):
    class Still:
        def maps(self):
            return {"p2": torch.ones(1)}

        def step(self, what, mode):
            return lambda: None

    monkeypatch.setattr(measure, "build_contestants", lambda *_: dict.fromkeys(NAMES, Still()))
    monkeypatch.setattr(measure, "write_images", lambda *_: None)
    monkeypatch.setattr(measure, "config", lambda *_: None)
    times = iter(made_up(1.0, noise, 48))
    monkeypatch.setattr(
        measure, "alternate", lambda _, n, cuda: {"wall": list(itertools.islice(times, n))}
    )
    effort = measure.Effort(measure.PARTS, measure.MODES, rounds=4, builds=2, max_builds=3)
    for row in measure.measure_net("tiny", "BN", Setting(), effort, Path()):
        assert len(row["rounds"]["wall"]) == rounds


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_kept_verdicts_follow_from_the_kept_rounds(path):
    check_kept(path)


def check_kept(path: Path) -> None:
    for row in json.loads(path.read_text())["rows"]:
        assert row["clocks"].keys() == row["rounds"].keys()
        for name, rounds in row["rounds"].items():
            judged, kept = verdict.judge(rounds), row["clocks"][name]
            assert judged["verdict"] == kept["verdict"]
            assert judged["seconds"] == pytest.approx(kept["seconds"])
            assert judged["ours/theirs"] == pytest.approx(kept["ours/theirs"])
        assert row["operations_unlike"] == []
        assert row["largest_difference"] == 0


def test_the_page_has_the_tables_of_the_kept_results():
    page = (tables.FOLDER / "README.md").read_text()
    assert insert(page, tables.tables()) == page


def test_table_has_a_line_for_each_case():
    judged = verdict.judge(made_up(1.0, 0.0))
    row = {
        "net": "R_50",
        "norm": "BN",
        "what": "backbone",
        "mode": "infer",
        "operations": {"theirs": 2000, "ours": 2000},
        "python_calls": {"theirs": 1200, "again": 1200, "ours": 1100},
        "clocks": {"wall": judged, "cpu": judged},
    }
    head, rule, line = tables.table({"rows": [row]}).splitlines()
    assert head.count("|") == rule.count("|") == line.count("|") == 14
    assert "| R_50 | BN | backbone | infer | 2,000 / 2,000 | 1,100 / 1,200 | 1000 |" in line
    assert line.endswith("| 1.000 (1.000–1.000) | ±0.0% | not slower |")
