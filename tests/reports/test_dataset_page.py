"""The page of a check: what it shows, that every text in it is escaped, how it looks."""

import re
import shutil
from pathlib import Path

import pytest

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.checking.check import CheckResult, check_sets
from resnext_det.errors import UserError
from resnext_det.reports.dataset_page import check_output, write_check_page
from resnext_det.reports.histograms import bars
from tests.data.checking.small_sets import content, picture, write_set
from tests.reports.browser import NAMES, find_browser, open_browser

EVIL = '<script>alert(1)</script>"&'


def spoilt_result(folder: Path) -> CheckResult:
    """Two sets with a leak, a flat box, a broken image and hostile names."""
    made = content(["1.png", "2.png", "<img src=x>.png"])
    made["categories"][0]["name"] = EVIL
    made["annotations"][0]["bbox"] = [1, 2, 0, 4]
    other = content(["4.png"])
    other["categories"][0]["name"] = EVIL
    train = write_set(folder, "train", [1, 2], made)
    (train.image_root / "<img src=x>.png").write_bytes(b"no image")
    val = write_set(folder, "val", [4], other)
    shutil.copy(train.image_root / "1.png", val.image_root / "4.png")
    return check_sets([train, val])


def test_a_page_shows_what_was_found(tmp_path):
    page = write_check_page(spoilt_result(tmp_path), tmp_path / "out", command="resnext-det …")
    text = page.read_text()
    assert page == tmp_path / "out/check.html"
    assert "train: 3 images, 5 objects of 2 classes" in text
    assert "val: 1 × same file in two sets" in text
    assert text.count("In two sets: the same file") == 1
    assert "annotation 1 of image 1.png (id 1, 64x48): box [1, 2, 0, 4] has a width or" in text
    for part in ("findings", "twins", "classes", "sizes", "samples", "how"):
        assert f'<section id="{part}">' in text
    ids = re.findall(r'id="(picture-\d+)"', text)
    assert len(ids) == len(set(ids)) == text.count("data:image/jpeg;base64,")
    assert 'class="found"' in text  # the flat box, marked


def test_every_text_is_escaped(tmp_path):
    text = write_check_page(spoilt_result(tmp_path), tmp_path / "out").read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)


def test_class_folders_have_a_page(tmp_path):
    for name, seed in (("train/ant", 1), ("train/cat", 2), ("train/cat", 3)):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        picture(seed).save(tmp_path / name / f"{seed}.png")
    result = check_sets([DatasetEntry("train", None, tmp_path / "train")])
    text = write_check_page(result, tmp_path / "out").read_text()
    assert "train: 3 images of 2 classes." in text
    assert "No problem was found." in text
    assert text.count("data:image/jpeg") == 3


def test_an_empty_set_has_a_page(tmp_path):
    entry = write_set(tmp_path, "train", [], {"images": [], "annotations": [], "categories": []})
    text = write_check_page(check_sets([entry]), tmp_path / "out").read_text()
    assert "train: 0 images" in text
    entry.json_file.write_text("[1")  # type: ignore[union-attr]
    text = write_check_page(check_sets([entry]), tmp_path / "out").read_text()
    assert "annotation file that cannot be read" in text


def test_another_file_is_not_replaced(tmp_path):
    check_output(tmp_path)
    (tmp_path / "check.html").write_text("mine")
    with pytest.raises(UserError, match=r"check.html: exists and bears no mark of a page"):
        check_output(tmp_path)


def test_bars_come_in_parts_and_with_a_legend():
    counts = {name: {str(n): n + 1 for n in range(31)} for name in ("train", "val")}
    first, second = bars(counts, "Classes", unit="objects", salt="x")
    assert (first.caption, second.caption) == ("Classes, 1 of 2", "Classes, 2 of 2")
    assert "train" in first.svg
    assert "percent of the set’s objects" in first.svg
    assert bars({"train": {}, "val": {"a": 0}}, "None", unit="boxes", salt="x") == []


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason=f"needs one of {', '.join(NAMES)}")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_fits_a_phone_and_says_nothing_on_the_console(dark, tmp_path):
    page = write_check_page(spoilt_result(tmp_path), tmp_path / "out", command="x" * 200)
    with open_browser() as browser:
        for width in (360, 1280):
            browser.open(page, width, 800, dark=dark)
            browser.value("document.querySelectorAll('details').forEach(part => part.open = true)")
            assert browser.value("document.documentElement.scrollWidth") == width
            past = "[...document.querySelectorAll('body *')].filter(e => !e.closest('svg, thead') "
            past += f"&& e.getBoundingClientRect().right > {width + 1}).map(e => e.tagName)"
            assert browser.value(past) == []
        ground = browser.value("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(15, 20, 26)" if dark else "rgb(255, 255, 255)")
        assert browser.messages == []
