"""Each mistake in `resnext-det predict` is said in one line, before anything is written."""

import os
from pathlib import Path
from typing import Any

import pytest

from resnext_det.cli import main
from tests.inference.conftest import Trained, portable  # noqa: F401

CATEGORIES = '"categories": [{"id": 3, "name": "red"}, {"id": 8, "name": "green"}]'


@pytest.fixture
def refused(portable: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: F811
    def run(*options: object, inputs: object = None, out: str = "out") -> str:
        words = [portable.checkpoint, inputs or portable.images[0], "-o", tmp_path / out]
        capsys.readouterr()
        status = main(["predict", *map(str, words), "--engine", "portable", *map(str, options)])
        error = capsys.readouterr().err
        assert (status, error.count("\n"), error[:7]) == (2, 1, "error: ")
        return error[7:-1].replace(str(tmp_path), "TMP")

    return run


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--score-thresh", 2), "score threshold 2.0: give a number between 0 and 1"),
        (("--batch-size", 0), "--batch-size 0: give 1 or more"),
        (("--processes", 0), "--processes 0: give 1 or more"),
        (("--max-broken", -1), "--max-broken -1: give 0 or more"),
        (("--overlap", 0.5), "--overlap says how far tiles overlap: give --tile too"),
        (("--tile", 8), "tiles of 8 pixels: give 32 or more"),
        (("--save", "jsn"), "--save 'jsn': not known; json is meant?"),
        (("--save", ","), "--save is empty: give some of pictures, videos, json, csv"),
        (("--classes", "rad"), "--classes 'rad': not known; red is meant?"),
        (("--classes", "zebra"), "--classes 'zebra': not known: there are red, green"),
        (("--device", "cuda:7"), "device 'cuda:7'"),
    ],
    ids=["threshold", "batch", "processes", "broken", "overlap", "tile", "save", "nothing",
         "class", "other class", "device"],
)  # fmt: skip
def test_options(refused: Any, tmp_path: Path, options: tuple[object, ...], message: str) -> None:
    assert refused(*options).startswith(message)
    assert not (tmp_path / "out").exists()


def test_inputs(refused: Any, tmp_path: Path) -> None:
    assert refused(inputs=tmp_path / "no*.jpg") == "TMP/no*.jpg: nothing matches this pattern"
    assert refused(inputs=tmp_path / "no.jpg") == "TMP/no.jpg: no such image, video or folder"
    (tmp_path / "torn.mp4").write_text("no video")
    assert refused(inputs=tmp_path / "torn.mp4") == (
        "TMP/torn.mp4: cannot be read as a video (no video that OpenCV can read)"
    )


def test_output(refused: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    assert refused(out="file") == "-o TMP/file: is a file; name a folder"
    assert refused(out="file/below").startswith("-o TMP/file/below: no folder that can be written")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.tex").touch()
    assert refused(out="used") == (
        "-o TMP/used: holds other files (thesis.tex): give a new or an empty folder"
    )
    assert os.listdir(tmp_path / "used") == ["thesis.tex"]

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", "x")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert refused(out="locked") == (
        "-o TMP/locked: no folder that can be written to (Permission denied)"
    )


def test_another_command_and_another_process(
    portable: Trained,  # noqa: F811
    refused: Any,
    tmp_path: Path,
) -> None:
    words = [str(portable.checkpoint), str(portable.images[0]), "-o", str(tmp_path / "out")]
    assert main(["predict", *words, "--engine", "portable", "--save", "csv"]) == 0
    assert refused() == (
        "TMP/out: holds the results of another command (--save: csv there, csv json pictures "
        "videos now): give another folder"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "holds no list of categories: give COCO annotations"),
        ('{"categories": [{"id": 1, "name": "red"}]}', "has no category green, which the detector"),
        (f'{{{CATEGORIES}, "images": []}}', "has no image 0.png (1 of 1): leave --annotations out"),
        (f'{{{CATEGORIES}, "images": [{{"id": 1}}]}}', "one of its images has no file_name or no"),
    ],
    ids=["empty", "category", "image", "name"],
)
def test_annotations(refused: Any, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    error = refused("--annotations", tmp_path / "a.json")
    assert error.startswith(f"TMP/a.json: {message}")


def test_a_file_that_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.pth").write_text("no weights")
    (tmp_path / "a.png").touch()
    words = [str(tmp_path / "notes.pth"), str(tmp_path / "a.png"), "-o", str(tmp_path / "out")]
    assert main(["predict", *words]) == 2
    assert "notes.pth: torn, or no weights file" in capsys.readouterr().err
