"""The tables of the comparison's page, from the studies' JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

from projects.DetectionComparison import tables
from resnext_det.reports.page_tables import insert

PAGE = (tables.FOLDER / "README.md").read_text(encoding="utf-8")


def difference(metric: str, **more: Any) -> dict[str, Any]:
    return {
        "first": "A, pretrained",
        "second": "B, pretrained",
        "metric": metric,
        "value": 1.24,
        "low": -0.5,
        "high": 3.0,
        "confidence": 0.95,
        "num_images": 300,
        "num_seeds": 2,
        "per_seed": [1.0, 1.48],
        "t_low": -1.8,
        "t_high": 4.3,
        "verdict": "not told apart",
        "text": f"B and A are not told apart in {metric}.",
        **more,
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    row = {"pretrained": True, "metrics": {"AP": 40.0, "AP50": 80.0}, "seconds": 180.0}
    content = {
        "title": "t",
        "kind": "detection",
        "scale": "mini",
        "engine": "portable",
        "command": "python run.py --seeds 2",
        "versions": {"device": "cpu"},
        "seconds": 9.0,
        "settings": {"SOLVER.MAX_ITER": 300},
        "dataset": {"description": "digits"},
        "rows": [{**row, "model": model, "seed": seed} for model in "AB" for seed in (0, 1)],
        "differences": [
            difference("AP50", per_seed=[], t_low=None, t_high=None, verdict=None),
            difference("AP"),
            difference("AP-7"),
        ],
    }
    (tmp_path / tables.STUDIES["digits"]).write_text(json.dumps(content))
    return tmp_path


def test_a_study_gives_its_three_tables(results: Path) -> None:
    found = tables.tables(results)
    assert list(found) == ["networks", "digits", "digits differences", "digits run"]
    assert "40.0" in found["digits"]
    lines = found["digits differences"].splitlines()
    assert lines[0] == "B, pretrained minus A, pretrained:"
    ap = "| AP | +1.2 | -0.5 to +3.0 | -1.8 to +4.3 | +1.0, +1.5 | not told apart |"
    assert ap in lines
    assert "| AP50 | +1.2 | -0.5 to +3.0 | – | – | – |" in lines
    assert not any("AP-7" in line for line in lines)  # classes are the page's
    assert lines.index(ap) == 4  # AP goes first, whatever the file's order
    assert lines[-1] == "B and A are not told apart in AP."
    assert "`SOLVER.MAX_ITER 300`" in found["digits run"]
    assert "3.0 to 3.0 minutes" in found["digits run"]


def test_a_difference_of_nothing_has_no_sign() -> None:
    found = [tables._signed(value) for value in (0.04, -0.04, -0.06, None)]
    assert found == ["0.0", "0.0", "-0.1", "–"]


def test_the_page_has_a_place_for_every_table(results: Path) -> None:
    for study in tables.STUDIES:
        for name in ("", " differences", " run"):
            assert f"<!-- {study}{name} -->" in PAGE
    assert "+1.0, +1.5" in insert(PAGE, tables.tables(results))


def test_no_study_leaves_the_networks_alone(tmp_path: Path) -> None:
    assert list(tables.tables(tmp_path)) == ["networks"]


def test_the_page_shows_what_is_committed() -> None:
    assert insert(PAGE, tables.tables()) == PAGE


def test_the_networks_cost_what_was_counted() -> None:
    """ResNet-50 at half width: a little over a quarter of 4.089 G (half the stem's input stays)."""
    lines = tables.networks_table().splitlines()
    assert len(lines) == 6
    assert "| 1.051 |" in lines[4]
    assert "1.087 (+3.4 %)" in lines[5]
    assert 4.089 / 4 < 1.051 < 4.089 / 4 * 1.05
