"""The page: whole, self-contained, escaped."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from resnext_det.errors import UserError
from resnext_det.reports.html import write_report

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects tags, addresses and text, and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def test_the_page_holds_everything_and_needs_nothing(study_file: Path) -> None:
    path = write_report(study_file)
    assert path == study_file.with_name("report.html")
    text = path.read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert not re.search(r"https?:|url\((?!#)|@import", text)
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    for word in ("Stand-in study", "ResNeXt-26 32x4d", "52.3", "47.6", "SOLVER.MAX_ITER", "2.15.0"):
        assert word in page.words
    assert "The whole took 9 min 01 s." in text
    assert page.tags.count("img") == 4 * 4
    assert page.tags.count("svg") == 4
    assert not list(study_file.parent.glob("*.partial"))
    assert not list(study_file.parent.glob(".report.html.*"))


def test_names_cannot_become_markup(study_file: Path) -> None:
    content = json.loads(study_file.read_text())
    evil = "<script>alert(1)</script>$\\frac"
    content["title"] = evil
    content["rows"][0]["model"] = evil
    content["findings"][0]["text"] = evil
    content["settings"] = {evil: evil}
    study_file.write_text(json.dumps(content))
    text = write_report(study_file, num_pictures=1).read_text()
    assert "script" not in Page(text).tags
    assert "<script" not in text


def test_a_study_of_nothing_but_rows_has_a_page(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    result.write_text('{"rows": []}')
    page = Page(write_report(result, tmp_path / "page.html").read_text())
    assert "Detection results" in page.words
    assert "svg" not in page.tags


def test_a_single_runs_result_has_a_page(study_file: Path) -> None:
    run = study_file.parent / "run1"
    content = {"config": {}, "versions": {}, "seed": 0, "engine": "portable", "metrics": {"AP": 3}}
    (run / "result.json").write_text(json.dumps(content))
    page = Page(write_report(run / "result.json").read_text())
    assert {"run1", "3.0"} <= set(page.words)


def test_a_missing_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such result file"):
        write_report(tmp_path / "result.json")
