"""File names from strangers: which stay in their folder. Engine-neutral."""

from pathlib import Path

import pytest

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import load_coco
from resnext_det.data.file_names import check_names, leaves_folder, name_flaw, shown_name
from resnext_det.data.needs import Needs
from resnext_det.errors import UserError
from tests.data.annotated import write_annotated


@pytest.mark.parametrize(
    "name", ["a.png", "sub/a.png", "./a.png", "..a.png", "a..png", "ä b.png", "a\\b.png", "~/a"]
)
def test_these_stay(name: str) -> None:
    assert not leaves_folder(name)
    assert name_flaw(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "/a.png",
        "//server/a.png",
        "../a.png",
        "sub/../../a.png",
        "sub/../a.png",
        "..\\a.png",
        "\\a.png",
        "\\\\server\\share\\a.png",
        "C:\\a.png",
        "c:/a.png",
        "C:a.png",
    ],
)
def test_these_leave(name: str) -> None:
    assert leaves_folder(name)


@pytest.mark.parametrize(
    ("name", "flaw"),
    [
        ("", "names no file"),
        (".", "names no file"),
        ("sub/..", "names no file"),
        ("\ud800.png", "names no file"),
        ("a\0.png", "has a NUL in it"),
        ("a" * 256, "has 256 bytes, more than a file system takes"),
        ("ä" * 128, "has 256 bytes, more than a file system takes"),
        ("a/" * 4000 + "b", "has 4001 bytes, more than a file system takes"),
    ],
    ids=str,
)
def test_these_are_no_names(name: str, flaw: str) -> None:
    assert name_flaw(name) == flaw


def test_long_names_are_shown_in_part() -> None:
    assert shown_name("a.png") == "'a.png'"
    assert len(shown_name("a" * 5000)) < 80


def test_links_inside_the_folder_are_their_owners_business(tmp_path: Path) -> None:
    entry = write_annotated(tmp_path / "set")
    images = tmp_path / "set" / "images"
    (images / "0.png").rename(tmp_path / "elsewhere.png")
    (images / "0.png").symlink_to(tmp_path / "elsewhere.png")
    assert load_coco(entry, training=True).records


def test_names_in_a_panoptic_file_stay_too(tmp_path: Path) -> None:
    entry = write_annotated(tmp_path)
    assert entry.panoptic is not None
    path = entry.panoptic.json_file
    path.write_text(
        path.read_text().replace('"file_name": "3.png", "seg', '"file_name": "../3.png", "seg')
    )
    with pytest.raises(UserError) as error:
        load_coco(entry, training=False, needs=Needs(stuff=True))
    assert str(error.value) == (
        f"{path}: file_name '../3.png' leaves its folder; set DATASETS.TRUST_FILE_NAMES True where "
        "you trust the file"
    )
    with pytest.raises(UserError, match="are not there, the first is '../3.png'"):
        load_coco(entry, training=False, needs=Needs(stuff=True), trust_file_names=True)


def test_absolute_names_that_are_trusted_are_read_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def away(content: dict) -> None:
        for image in content["images"]:
            image["file_name"] = str(tmp_path / "set" / "images" / image["file_name"])

    entry = write_annotated(tmp_path / "set", away)
    (tmp_path / "empty").mkdir()
    moved = DatasetEntry("set", entry.json_file, tmp_path / "empty")
    with pytest.raises(
        UserError, match=r"image 0: file_name .* leaves .*; 6 such in the file; set"
    ):
        load_coco(moved, training=True)
    dataset = load_coco(moved, training=True, trust_file_names=True)
    assert dataset.records[0].file_name == str(tmp_path / "set" / "images" / "0.png")
    (line,) = caplog.messages
    assert "6 of 6 file names leave" in line
    assert "DATASETS.TRUST_FILE_NAMES True allows; the first is" in line


def test_check_names_names_the_file() -> None:
    check_names(Path("p.json"), ["a.png"], trusted=False)
    with pytest.raises(UserError, match=r"^p.json: file_name 'a\\x00' has a NUL in it$"):
        check_names(Path("p.json"), ["a\0"], trusted=True)
