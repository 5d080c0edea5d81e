"""The study of evaluation speed, in a tiny size: the numbers are pycocotools' to the last digit."""

import json
from pathlib import Path

import pytest

from projects.EvaluationSpeed import run
from projects.EvaluationSpeed.made_set import make_set


def test_a_tiny_run_gives_pycocotools_numbers(tmp_path: Path) -> None:
    path = tmp_path / "tiny.json"
    size = {"images": 20, "objects": 120, "detections": 600, "classes": 5}
    words = [word for key, value in size.items() for word in (f"--{key}", str(value))]
    assert run.main([*words, "--rounds", "2", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert found["set"] == size
    assert found["numbers"]["largest_difference"] == 0
    assert 0 < found["numbers"]["ours"]["AP"] < 1
    assert found["clocks"]["wall"][run.THEIRS]["speed"]["median"] == pytest.approx(1)


def test_a_set_is_made_alike(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    size = {"images": 5, "objects": 20, "detections": 40, "classes": 3}
    first, again = (make_set(tmp_path / name, **size) for name in ("a", "b"))
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in again]
