"""The report verb."""

import json
from pathlib import Path

import pytest

from resnext_det.cli import main
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
    assert "unrecognized arguments: --outp page.html" in capsys.readouterr().err


def test_another_file_is_not_overwritten(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = result.read_bytes()
    assert main(["report", str(result), "-o", str(result)]) == 2
    assert "exists and bears no mark of a page that this command wrote" in capsys.readouterr().err
    assert result.read_bytes() == before
