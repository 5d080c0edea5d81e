import os
from pathlib import Path

import pytest

from resnext_det.folder_walks import walk_folders


def refuse(error: OSError) -> None:
    raise error


def files_below(root: Path) -> list[str]:
    return [
        os.path.relpath(os.path.join(place, file), root)
        for place, _, files in walk_folders(str(root), refuse)
        for file in sorted(files)
    ]


def test_linked_folders_are_walked_once_and_circles_not_at_all(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for file in (root / "a" / "1.jpg", root / "2.jpg", elsewhere / "b" / "3.jpg"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (root / "linked").symlink_to(elsewhere)
    assert files_below(root) == ["2.jpg", "a/1.jpg", "linked/b/3.jpg"]
    (root / "once_more").symlink_to(elsewhere / "b")  # a part of what is walked
    (root / "own").symlink_to(root / "a")
    (root / "a" / "up").symlink_to(tmp_path)  # around the whole
    (elsewhere / "back").symlink_to(root)
    assert files_below(root) == ["2.jpg", "a/1.jpg", "linked/b/3.jpg"]


def test_names_that_are_taken_out_are_not_walked(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    seen = []
    for place, folders, _ in walk_folders(str(tmp_path), refuse):
        seen.append(os.path.basename(place))
        folders[:] = [name for name in folders if name != "a"]
    assert seen == [tmp_path.name, "b"]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(walk_folders(str(tmp_path / "none"), refuse))
