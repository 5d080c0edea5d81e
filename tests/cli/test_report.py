"""The report verb."""

import json
from pathlib import Path

import pytest

from resnext_det.cli import main
from resnext_det.data.file_names import shown_name
from tests.reports.conftest import study_file as study_file  # a fixture
from tests.reports.conftest import write_study
from tests.reports.samples import classification


@pytest.fixture
def result(tmp_path: Path) -> Path:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(classification(num_seeds=2)))
    return path


def test_the_page_goes_beside_the_json(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(result)]) == 0
    printed = capsys.readouterr().out
    assert "ResNeXt-50" in printed
    assert "25.99±0.02" in printed  # 100 - 74 - 0.2 sin(3 s) of seeds 0 and 1: 25.986, 0.020
    assert f"{result.with_name('report.html')} is written." in printed
    assert result.with_name("report.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("option", ["-o", "--output"])
def test_the_page_goes_where_it_is_named(option: str, result: Path) -> None:
    page = result.parent / "pages" / "mine.html"
    assert main(["report", str(result), option, str(page)]) == 0
    assert page.exists()
    assert not result.with_name("report.html").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such result file"),
        ("{", "cannot be read as result JSON"),
        ('{"a": 1}', "neither a run's nor a study's result JSON: seed is missing"),
        ('{"images": [], "annotations": []}', "neither a run's nor a study's result JSON"),
        ('{"rows": [], "published": ["table0"]}', "no table is named 'table0'"),
    ],
    ids=["missing", "cut", "foreign", "annotations", "published"],
)
def test_mistakes_are_one_line_and_status_2(
    text: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    if text is not None:
        path.write_text(text)
    assert main(["report", str(path)]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert words in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_no_option_is_taken_for_a_longer_one(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["report", str(result), "--outp", "page.html"])
    told = capsys.readouterr().err
    assert told.startswith("usage: resnext-det report [-h]")
    assert "\nresnext-det report: error: unrecognized arguments: --outp page.html\n" in told


def test_another_file_is_not_overwritten(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = result.read_bytes()
    assert main(["report", str(result), "-o", str(result)]) == 2
    wrong = f"error: {result}: is one of the files that this command reads or writes: name another"
    assert capsys.readouterr().err == f"{wrong}\n"
    other = result.with_name("weights.pth")
    other.write_bytes(b"PK")
    assert main(["report", str(result), "-o", str(other)]) == 2
    assert "exists and bears no mark of a page that this command wrote" in capsys.readouterr().err
    assert (result.read_bytes(), other.read_bytes()) == (before, b"PK")


def moved(folder: Path) -> Path:
    """A study whose data set is outside the folder of its result.json."""
    inner = folder / "inner"
    inner.mkdir()
    path = write_study(inner)
    for name in ("images", "val.json"):
        (inner / name).rename(folder / name)
    content = json.loads(path.read_text())
    content["dataset"] |= {"annotations": "../val.json", "images": "../images"}
    path.write_text(json.dumps(content))
    return path


def test_the_folder_that_pictures_are_read_from_is_named(
    study_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(study_file)]) == 0
    folder = study_file.parent / "images"
    line = f"\nSample images are read from {folder}, which the file names.\n"
    assert line in capsys.readouterr().out


def test_pictures_of_another_folder_are_not_drawn_unless_it_is_trusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = moved(tmp_path)
    folder = path.parent / "../images"
    assert main(["report", str(path)]) == 0
    line = (
        f"No sample images are drawn: {shown_name(str(folder))} is outside the folder of "
        "result.json; --trust-file-names draws them, where you trust the file\n"
    )
    assert line in capsys.readouterr().out
    page = path.with_name("report.html")
    assert "data:image/jpeg" not in page.read_text()
    assert main(["report", str(path), "--trust-file-names"]) == 0
    assert f"Sample images are read from {folder}" in capsys.readouterr().out
    assert "data:image/jpeg" in page.read_text()


@pytest.mark.parametrize("key", ["annotations", "images", "run"])
def test_one_place_outside_is_enough(
    key: str, study_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(study_file.read_text())
    place = content["rows"][0] if key == "run" else content["dataset"]
    place[key] = f"../{study_file.parent.name}/{place[key]}"
    study_file.write_text(json.dumps(content))
    assert main(["report", str(study_file)]) == 0
    assert "No sample images are drawn: " in capsys.readouterr().out


def test_a_study_with_its_own_pictures_reads_none(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(result)]) == 0
    assert "ample images" not in capsys.readouterr().out
