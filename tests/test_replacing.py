"""What may be written over."""

import os
from pathlib import Path

import pytest

from resnext_det.errors import UserError
from resnext_det.replacing import check_replaceable, is_same_file


def check(path: Path, *used: Path) -> None:
    check_replaceable(
        path, is_ours=lambda head: head[:1] == b"x", otherwise="is another's", used=used
    )


def test_what_is_not_there_or_ours_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a"
    check(path, tmp_path / "b")
    path.write_text("x")
    check(path, tmp_path / "b", tmp_path)
    check(Path(os.devnull))


def test_anothers_may_not(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("y")
    with pytest.raises(UserError, match=f"^{path}: exists and is another's$"):
        check(path)


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to, None])
def test_a_file_that_is_used_may_not_by_whatever_name(tmp_path: Path, link) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    other.write_text("x")
    if link is None:
        path = tmp_path / "c" / ".." / "b"
    else:
        link(path, other)
    assert is_same_file(path, other)
    with pytest.raises(UserError, match=r"is one of the files that this command reads or writes"):
        check(path, tmp_path / "none", other)


def test_a_file_that_is_still_to_be_written_may_not(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is one of the files .*: name another$"):
        check(tmp_path / "a", tmp_path / "a")
