"""Pages in a real browser: nothing on its console, nothing beside the window, and in print."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from resnext_det.reports.html import write_report
from tests.reports.browser import NAMES, Browser, find_browser, open_browser
from tests.reports.samples import write_samples

SAMPLES = ("detection", "classification", "one_run", "long_names", "many_classes", "empty")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason=f"needs one of {', '.join(NAMES)}"),
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    files = write_samples(tmp_path_factory.mktemp("pages"))
    return {name: write_report(files[name]) for name in SAMPLES}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_page_fits_a_phone_and_says_nothing_on_the_console(
    name: str, dark: bool, pages: dict[str, Path], browser: Browser
) -> None:
    browser.messages.clear()
    browser.open(pages[name], 360, 800, dark=dark)
    assert browser.value("document.title")
    browser.value("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert browser.value("document.documentElement.scrollWidth") == 360
    past = "[...document.querySelectorAll('body *')].filter(e => !e.closest('svg, thead') && "
    past += "e.getBoundingClientRect().right > 361).map(e => e.outerHTML.slice(0, 80))"
    assert browser.value(past) == []
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(15, 20, 26)" if dark else "rgb(255, 255, 255)")
    assert browser.messages == []


@pytest.mark.parametrize("name", SAMPLES)
def test_a_page_prints_on_a4_with_nothing_folded(
    name: str, pages: dict[str, Path], browser: Browser
) -> None:
    browser.open(pages[name], 1280, 900)
    assert browser.value("document.documentElement.scrollWidth") == 1280
    printed = browser.pdf()
    assert printed.startswith(b"%PDF-")
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)
    assert {(round(float(w)), round(float(h))) for w, h in boxes} == {(595, 842)}  # 210 x 297 mm
    browser.send("Emulation.setEmulatedMedia", media="print")
    # Of what folds on the screen every line is there on paper.
    hidden = "[...document.querySelectorAll('details tr, details pre')]"
    hidden += ".filter(e => e.getBoundingClientRect().height == 0).length"
    assert browser.value(hidden) == 0
    browser.send("Emulation.setEmulatedMedia", media="")
    assert browser.messages == []
