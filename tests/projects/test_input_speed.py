"""The study of input speed: its images, a tiny run, and the tables made of it."""

import json

import numpy as np
import pytest
from PIL import Image

from projects.InputSpeed import run, tables
from projects.InputSpeed.contestants import NAMES, PIL
from projects.InputSpeed.photographs import make_photographs
from resnext_det.errors import UserError
from resnext_det.reports.page_tables import insert
from tests.data.pictures import photograph

RESULTS = sorted((tables.FOLDER / "results").glob("*.json"))


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    (folder / "deeper").mkdir(parents=True)
    photograph(400, 520).save(folder / "a.jpg")
    photograph(300, 200).save(folder / "deeper" / "b.PNG")
    return folder


def test_photographs_have_imagenets_size_and_are_made_alike(photographs, tmp_path):
    first = make_photographs(photographs, tmp_path / "one", 5)
    again = make_photographs(photographs, tmp_path / "two", 5)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert len({path.read_bytes() for path in first}) == 5
    sizes = []
    for path in first:
        with Image.open(path) as image:
            sizes.append(image.size)
    assert sizes == [(500, 375), (375, 500)] * 2 + [(500, 375)]


def test_a_folder_without_photographs_is_refused(tmp_path, capsys):
    with pytest.raises(UserError, match="no photograph in it"):
        make_photographs(tmp_path, tmp_path / "out", 1)
    assert run.main(["--photographs", str(tmp_path), "--json", str(tmp_path / "a.json")]) == 2
    assert "no photograph" in capsys.readouterr().err


def test_a_tiny_run_makes_its_tables(photographs, tmp_path):
    path = tmp_path / "results" / "tiny.json"
    size = ["--count", "6", "--rounds", "2", "--batch", "3", "--repeats", "1"]
    words = ["--photographs", str(photographs), "--json", str(path), *size]
    assert run.main([*words, "--workers", "0", "1"]) == 0
    result = json.loads(path.read_text())
    assert [(row["workers"], row["view"]) for row in result["rows"]] == [
        (0, "train"), (0, "test"), (1, "train"), (1, "test"),
    ]  # fmt: skip
    check(result)
    assert all(row["images_of_a_pass"] == 6 for row in result["rows"])
    speed = tables.speed_table(result).splitlines()
    assert len(speed) == 2 + 4 * len(NAMES)
    assert len({line.count("|") for line in speed}) == 1
    assert len(tables.pixel_table(result).splitlines()) == 2 + 4


def check(result):
    """What is kept follows from the rounds, and the tolerance holds."""
    assert "projects/InputSpeed/run.py" in result["command"]
    assert result["hardware"]["cores"]
    for row in result["rows"]:
        for clock, rounds in row["rounds"].items():
            for name in NAMES:
                found = row["clocks"][clock][name]
                speeds = [seconds[PIL] / seconds[name] for seconds in rounds]
                assert found["speed"]["median"] == pytest.approx(np.median(speeds))
    for found in result["differences"]:
        for view in ("train", "test"):
            assert found[view]["mean"] < 0.05
            assert found[view]["same"] > 0.95
            assert found["interpolation"] == "bicubic" or found[view]["largest"] <= 2


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_kept_numbers_follow_from_the_kept_rounds(path):
    check(json.loads(path.read_text()))


def test_the_page_has_the_tables_of_the_kept_results():
    page = (tables.FOLDER / "README.md").read_text()
    assert insert(page, tables.tables()) == page
