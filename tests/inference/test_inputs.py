"""Words of a command as images and videos, and where the pictures of these go."""

import io
import os
from pathlib import Path

import pytest

from resnext_det.errors import UserError
from resnext_det.inference.inputs import Inputs, Source, find_inputs
from resnext_det.inference.places import with_places

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "sub/a.png", "sub/deep/clip.MP4", ".hidden/x.png", ".x.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    (tmp_path / "photos" / "notes.txt").touch()
    return tmp_path / "photos"


def find(*words: object, output: Path | None = None, stdin: bytes = b"") -> Inputs:
    return find_inputs([str(word) for word in words], output or Path("out"), io.BytesIO(stdin))


def names(inputs: Inputs) -> list[str]:
    return [source.name for source in inputs.sources]


def test_a_folder_stands_for_all_below_it_in_order(folder: Path) -> None:
    inputs = find(folder)
    assert names(inputs) == ["a.PNG", "b.jpg", "sub/a.png", "sub/deep/clip.MP4"]
    assert [source.is_video for source in inputs.sources] == [False, False, False, True]
    assert [source.place for source in inputs.sources] == ["a", "b", "sub/a", "sub/deep/clip"]


def test_results_within_a_folder_are_no_inputs_of_the_next_start(folder: Path) -> None:
    (folder / "out" / "pictures").mkdir(parents=True)
    (folder / "out" / "pictures" / "a.jpg").touch()
    assert names(find(folder, output=folder / "out")) == names(find(folder, output=folder / "out"))
    assert "out/pictures/a.jpg" not in names(find(folder, output=folder / "out"))
    assert names(find(folder / "**/a.*", output=folder / "out")) == ["a.PNG", "sub/a.png"]


def test_results_are_no_inputs_through_a_link_either(folder: Path) -> None:
    results = folder.parent / "else" / "out"
    (results / "pictures").mkdir(parents=True)
    (results / "pictures" / "a.jpg").touch()
    (results.parent / "c.jpg").touch()
    (folder / "linked").symlink_to(results.parent)
    (folder / "results").symlink_to(results)
    (folder / "pictures").symlink_to(results / "pictures")
    found = names(find(folder, output=results))
    assert found == ["a.PNG", "b.jpg", "linked/c.jpg", "sub/a.png", "sub/deep/clip.MP4"]
    assert names(find(folder / "*/*.jpg", output=results)) == ["linked/c.jpg"]


def test_a_file_is_looked_at_once_by_whichever_folder(folder: Path) -> None:
    (folder.parent / "alias").symlink_to(folder)
    assert len(find(folder, folder.parent / "alias").sources) == 4


def test_patterns_files_and_each_file_once(folder: Path) -> None:
    assert names(find(folder / "*.jpg")) == ["b.jpg"]
    assert names(find(folder / "**" / "*.png")) == ["sub/a.png"]
    assert names(find(folder / "b.jpg", folder, folder / "b.jpg"))[:2] == ["b.jpg", "a.PNG"]
    assert len(find(folder, folder).sources) == 4
    (folder / "odd[1].png").touch()
    assert names(find(folder / "odd[1].png")) == ["odd[1].png"]  # a file of that name comes first


def test_names_that_two_have_are_their_paths(folder: Path) -> None:
    (folder / "sub" / "b.jpg").touch()
    inputs = find(folder / "b.jpg", folder / "sub" / "b.jpg")
    assert names(inputs) == [str(folder / "b.jpg"), str(folder / "sub" / "b.jpg")]
    assert len({source.place for source in inputs.sources}) == 2


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("absent.png", r"absent\.png: no such image, video or folder"),
        ("*.gif", r"\*\.gif: nothing matches this pattern"),
        ("empty", "empty: a folder without an image or a video"),
    ],
    ids=["file", "pattern", "folder"],
)
def test_what_names_nothing_is_refused(folder: Path, word: str, message: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        find(folder / word)


def test_a_folder_that_cannot_be_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"photos: cannot be listed \(Permission denied\)"):
        find(folder)


def test_standard_input_is_an_image_or_names(folder: Path) -> None:
    inputs = find("-", output=folder / "out", stdin=PNG + b"rest")
    assert inputs.piped == PNG + b"rest"
    assert [source.path for source in inputs.sources] == [str(folder / "out" / "standard_input")]
    lines = f"{folder / 'b.jpg'}\r\n\n{folder / 'sub'}\n".encode()
    assert names(find("-", stdin=lines)) == ["b.jpg", "a.png", "deep/clip.MP4"]
    nul = f"{folder / 'b.jpg'}\0{folder / 'a.PNG'}\0".encode()
    assert names(find("-", stdin=nul)) == ["b.jpg", "a.PNG"]
    with pytest.raises(UserError, match="standard input is empty: give an image, or names"):
        find("-")
    with pytest.raises(UserError, match=r"nosuch\.png: no such image"):
        find("-", stdin=b"nosuch.png\n")


def test_standard_input_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnext_det.inference.inputs.LARGEST_IMAGE", 10)
    with pytest.raises(UserError, match="standard input: more than 10 bytes"):
        find("-", stdin=PNG + bytes(10))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a.png", "a"),
        ("../../etc/passwd", "etc/passwd"),
        ("/abs/b.tar.png", "abs/b.tar"),
        ("..", "image"),
        ("sub/..", "sub"),
        ("..\\..\\c.png", "_.._c"),
        ("new\nline.png", "new_line"),
        (".hidden.png", "hidden"),
        ("...", "_"),
        ("ü" * 100 + ".png", "ü" * 75),
        ("\udcff.png", "_"),
    ],
    ids=["plain", "up", "absolute", "only up", "up at the end", "windows", "control", "dot", "dots",
         "lengthy", "no text"],
)  # fmt: skip
def test_no_place_leaves_the_folder(name: str, place: str, tmp_path: Path) -> None:
    (placed,) = with_places([Source("x", name)])
    assert placed.place == place
    inside = Path(os.path.normpath(tmp_path / f"{placed.place}.jpg"))
    assert inside.is_relative_to(tmp_path)
    inside.parent.mkdir(parents=True, exist_ok=True)
    inside.touch()


def test_places_differ_where_only_endings_or_cases_do() -> None:
    sources = [Source(n, n) for n in ("a.png", "a.jpg", "A.gif", "a_2.png", "a.png")]
    places = [source.place for source in with_places(sources)]
    assert places == ["a", "a_2", "A_3", "a_2_2", "a_4"]
