import os
from pathlib import Path

import pytest

from resnext_det.folder_walks import walk_folders


def refuse(error: OSError) -> None:
    raise error


def files_below(root: Path, *unwanted: str) -> list[str]:
    walked = walk_folders(str(root), refuse, lambda path: os.path.basename(path) not in unwanted)
    return sorted(
        os.path.relpath(os.path.join(place, file), root)
        for place, files in walked
        for file in files
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree of two files, beside one of another two."""
    for name in ("root/a/1.jpg", "root/2.jpg", "else/b/3.jpg", "else/c/4.jpg"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path / "root"


def test_linked_folders_are_walked(root: Path) -> None:
    (root / "linked").symlink_to("../else")
    expected = ["2.jpg", "a/1.jpg", "linked/b/3.jpg", "linked/c/4.jpg"]
    assert files_below(root) == expected
    (root.parent / "root_too").symlink_to(root)
    assert files_below(root.parent / "root_too") == expected


@pytest.mark.parametrize(("part", "whole"), [("p", "w"), ("w", "p")])
def test_no_file_is_met_twice_and_none_is_lost(part: str, whole: str, root: Path) -> None:
    """Whichever of the links comes first."""
    (root / part).symlink_to("../else/b")
    (root / whole).symlink_to("../else")
    (root / "0").symlink_to("a")
    found = files_below(root)
    assert sorted(os.path.basename(name) for name in found) == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert "a/1.jpg" in found


def test_circles_are_not_walked(root: Path) -> None:
    (root / "a" / "up").symlink_to(root.parent)  # around the whole
    (root / "a" / "self").symlink_to("self")
    (root / "linked").symlink_to("../else")
    (root.parent / "else" / "back").symlink_to(root)
    (root.parent / "else" / "b" / "around").symlink_to("..")
    expected = ["2.jpg", "a/1.jpg", "linked/b/3.jpg", "linked/c/4.jpg"]
    assert [name for name in files_below(root) if name != "a/self"] == expected


def test_what_is_not_wanted_is_not_walked_by_that_name(root: Path) -> None:
    (root / "a_link").symlink_to("../else")
    (root / "b_link").symlink_to("../else")
    (root / "c_link").symlink_to("a")
    found = files_below(root, "a_link", "a")
    assert found == ["2.jpg", "b_link/b/3.jpg", "b_link/c/4.jpg", "c_link/1.jpg"]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(walk_folders(str(tmp_path / "none"), refuse))
