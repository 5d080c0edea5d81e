"""The page of an evaluation in a real browser, and what it says of images that are missing."""

import json
from pathlib import Path

import pytest
from PIL import Image

from resnext_det.analysis.analyse import Options, analyse
from resnext_det.evaluation.box_arrays import read_truth
from resnext_det.reports.evaluation_page import write_evaluation_page
from tests.evaluation.conftest import write_vector
from tests.reports.browser import NAMES, find_browser, open_browser

EVIL = '<script>alert(1)</script>"&'


def page_of(folder: Path) -> Path:
    """Writes a page with pictures and hostile names."""
    gt, dt = write_vector(folder, seed=0)
    content = json.loads(gt.read_text())
    for number, image in enumerate(content["images"]):
        image["file_name"] = f"{number}<img src=x>.png"
        Image.new("RGB", (640, 480), "grey").save(folder / image["file_name"])
    content["categories"][0]["name"] = EVIL
    gt.write_text(json.dumps(content))
    found = analyse(read_truth(gt), dt, Options(num_samples=5))
    return write_evaluation_page(found, folder / "out.html", images=folder)


def test_every_text_is_escaped_and_intervals_are_not_oversold(tmp_path: Path) -> None:
    text = page_of(tmp_path).read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text
    assert "Where classes have few objects they are optimistic" in text


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason=f"needs one of {', '.join(NAMES)}")
def test_a_page_fits_a_phone_and_says_nothing_on_the_console(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    with open_browser() as browser:
        for width, dark in ((360, False), (1280, True)):
            browser.open(page, width, 800, dark=dark)
            browser.value("document.querySelectorAll('details').forEach(part => part.open = true)")
            assert browser.value("document.documentElement.scrollWidth") == width
            past = "[...document.querySelectorAll('body *')].filter(e => !e.closest('svg, thead') "
            past += f"&& e.getBoundingClientRect().right > {width + 1}).map(e => e.tagName)"
            assert browser.value(past) == []
        assert browser.messages == []
