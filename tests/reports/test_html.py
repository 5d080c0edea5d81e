"""The page: whole, self-contained, escaped."""

import json
import re
import statistics
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from resnext_det.errors import UserError
from resnext_det.reports.html import write_report
from tests.reports.samples import FOUR, classification, detection, one_run, samples

QUICKSTART = Path(__file__).parents[2] / "projects" / "Quickstart" / "results"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects tags, addresses and text, and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.idents: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data")]
        self.idents += [value or "" for name, value in attrs if name == "id"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

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
    assert page.tags.count("svg") == 4 + 1  # curves, and AP by size
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


def written(folder: Path, content: Any) -> Page:
    result = folder / "result.json"
    result.write_text(json.dumps(content))
    return Page(write_report(result).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", samples())
def test_every_sample_has_a_page_that_needs_nothing(name: str, tmp_path: Path) -> None:
    page = written(tmp_path, samples()[name])
    assert "script" not in page.tags
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    assert len(set(page.idents)) == len(page.idents)
    assert {address[1:] for address in page.addresses if address[0] == "#"} <= set(page.idents)


def test_a_study_over_seeds_says_what_it_found_first(tmp_path: Path) -> None:
    content = detection()
    content["findings"].append({"text": content["differences"][0]["text"], "passed": None})
    page = written(tmp_path, content)
    assert page.words.count(content["differences"][0]["text"]) == 1
    assert "ResNeXt-50 32x4d has a larger AP than ResNet-50: +2.0." in page.words
    first = page.words.index("ResNeXt-50 32x4d has a larger AP than ResNet-50: +2.0.")
    assert first < page.words.index("Results") < page.words.index("Published figures")
    values = [row["metrics"]["AP"] for row in content["rows"][:5]]
    spread = f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"
    assert spread in page.words
    assert page.words.count("stand-in things") == 4  # one line for each network
    for row in content["rows"]:  # and in another table each seed's own
        assert f"{row['metrics']['AP']:.1f}" in page.words
        assert row["commands"][0] in page.words
    for words in (content["command"], "4f" * 32, "ab" * 20, "0, 1, 2, 3, 4", "47.6"):
        assert words in page.words
    # curves, 3 of precision, sizes, classes, 2 pairs with their classes, 3 rows of 3 pictures
    assert page.tags.count("svg") == 5 + 3 + 1 + 1 + 2 * 2 + 3 * 3
    assert page.tags.count("image") == 3
    assert page.tags.count("use") >= 6


def test_no_file_beside_the_json_is_read(tmp_path: Path) -> None:
    content = detection(models=FOUR[:1], num_seeds=2, num_pictures=0)
    for row in content["rows"]:
        (tmp_path / row["run"]).mkdir()
        (tmp_path / row["run"] / "metrics.json").write_text("not a line\nof metrics\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "val.json").write_text("{")
    assert "img" not in written(tmp_path, content).tags


def test_classifiers_have_errors_and_accuracies_beside_what_others_print(tmp_path: Path) -> None:
    page = written(tmp_path, classification())
    for words in ("top-1 err", "Table 3 top-1 err", "published top-1", "22.2", "77.90"):
        assert words in page.words
    assert "AP by size and by class" not in page.words
    assert "ResNeXt-50 32x4d has a larger top1 than ResNet-50: +2.1." in page.words


def test_a_top_5_without_difference_is_said(tmp_path: Path) -> None:
    content = classification()
    for row in content["rows"]:
        row["metrics"]["top5"] = 100.0
    said = "No line for top-5 accuracy: both have 100 % at every seed."
    assert said not in written(tmp_path, content).words  # there are lines
    content["differences"] = [d for d in content["differences"] if d["metric"] == "top1"]
    assert written(tmp_path, content).words.count(said) == 2  # pairs
    content["rows"][0]["metrics"]["top5"] = 99.0
    assert said not in written(tmp_path, content).words
    none = "“–”: among fewer than five classes there is no top-5."
    assert none not in " ".join(written(tmp_path, content).words)
    for row in content["rows"]:
        row["metrics"]["top5"] = None
    assert none in " ".join(written(tmp_path, content).words)


def test_one_seed_is_said_where_it_matters(tmp_path: Path) -> None:
    page = written(tmp_path, detection(models=FOUR[:2], num_seeds=1))
    text = " ".join(page.words)
    said = "With one seed each, this compares two trained networks, not architectures: ResNeXt-50 "
    assert any(words.startswith(said) for words in page.words)
    assert {"95 %, images", "one seed"} <= set(page.words)
    assert "images and seeds" not in text.lower()
    several = written(tmp_path, detection(models=FOUR[:2], num_seeds=3))
    assert "95 %, images and seeds" in several.words
    assert not {"95 %, images", "one seed"} & set(several.words)
    for words in (text, " ".join(several.words)):
        assert "of twenty differences that are truly zero, one interval of 95 % excludes" in words


def test_what_neither_finds_is_no_difference_of_nothing(tmp_path: Path) -> None:
    content = detection(models=FOUR[:2], num_seeds=2)
    assert "neither finds any" not in written(tmp_path, content).words
    for row in content["rows"]:
        row["metrics"]["AP-WBC"] = 0.0
    assert written(tmp_path, content).words.count("neither finds any") == 1
    content["rows"][0]["metrics"]["AP-WBC"] = 0.1
    assert "neither finds any" not in written(tmp_path, content).words


def test_a_comparison_without_pictures_says_why(tmp_path: Path) -> None:
    why = (
        "No image is shown: none was asked for, or the first two detectors differ on none in "
        "boxes with a score of at least 50 %, the only ones that are drawn."
    )
    content = detection(num_seeds=1, num_pictures=0)
    assert why in written(tmp_path, content).words
    assert why not in written(tmp_path, detection(num_seeds=1)).words
    assert why not in written(tmp_path, classification(num_seeds=1)).words
    assert why not in written(tmp_path, {**content, "differences": []}).words


def test_small_studies_do_not_contradict_what_is_published(tmp_path: Path) -> None:
    caveat = "a difference here, of either sign, or none, neither confirms nor contradicts them."
    content = classification(num_seeds=1)
    page = written(tmp_path, content)
    place = next(i for i, words in enumerate(page.words) if words.endswith(caveat))
    assert [words for words in page.words[:place] if words][-1] == "Published figures"
    assert caveat not in " ".join(written(tmp_path, {**content, "scale": "imagenet"}).words)
    assert caveat not in " ".join(written(tmp_path, {**content, "published": []}).words)


def test_the_cost_says_what_is_counted(tmp_path: Path) -> None:
    words = " ".join(written(tmp_path, detection(num_seeds=1)).words)
    assert "Params and GFLOPs are the backbone’s, without the detector’s other parts." in words
    assert "square image of 224 pixels, or of the test images’ shorter side" in words
    words = " ".join(written(tmp_path, classification(num_seeds=1)).words)
    assert "multiply-adds of convolutions and linear layers for one test crop." in words


def test_one_run_needs_no_published_table(tmp_path: Path) -> None:
    page = written(tmp_path, one_run())
    assert f"{tmp_path.name}, at one seed." in page.words
    assert one_run()["command"] in page.words
    assert "Published figures" not in page.words
    assert "The whole study" not in page.words


@pytest.mark.parametrize("name", ["result.json", "result_d2.json"])
def test_results_older_than_curves_still_have_a_page(name: str, tmp_path: Path) -> None:
    page = Page(write_report(QUICKSTART / name, tmp_path / "page.html").read_text())
    assert (
        "ResNet-26, pretrained; ResNeXt-26 30x4d, pretrained; ResNet-26, from scratch; and "
        "ResNeXt-26 30x4d, from scratch, at one seed each."
    ) in page.words
    assert "Paper: COCO minival, Faster R-CNN" in page.words
    assert "47.6" in page.words


def test_pictures_that_must_not_be_passed_on_keep_their_boxes(tmp_path: Path) -> None:
    page = written(
        tmp_path, detection(models=FOUR[:1], num_seeds=1, num_pictures=1, addresses=False)
    )
    assert "image" not in page.tags
    assert "RBC 95" in page.words


def test_an_unknown_published_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no table is named 'table99'"):
        written(tmp_path, {"rows": [], "published": ["table99"]})


def test_a_page_of_ours_is_replaced(tmp_path: Path) -> None:
    written(tmp_path, {"rows": []})
    assert "Cardinality" in written(tmp_path, classification(num_seeds=1)).words


def test_what_is_not_ours_is_not_overwritten(study_file: Path) -> None:
    page = study_file.with_name("report.html")
    page.write_text("<!doctype html><title>mine</title>")
    words = (
        r"report\.html: exists and bears no mark of a page that this command wrote \(those of "
        r"older versions have none\): move it away, or name another page: resnext-det report "
        r"RESULT\.json -o PAGE$"
    )
    with pytest.raises(UserError, match=words):
        write_report(study_file)
    assert "mine" in page.read_text()
    with pytest.raises(UserError, match=r"result\.json: is one of the files"):
        write_report(study_file, study_file)
    with pytest.raises(UserError, match="is a folder; give the page's file name"):
        write_report(study_file, study_file.parent)
