"""Files that are no plain ones are neither followed nor waited on. Engine-neutral."""

import os

import pytest

from resnext_det.small_files import check_plain, read_small


def test_a_plain_file_is_read_whole(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    check_plain(path)
    assert read_small(path, 3) == b"abc"
    with pytest.raises(OSError, match="is larger than 2 bytes"):
        read_small(path, 2)
    path.write_bytes(b"")
    assert read_small(path, 0) == b""


def test_what_is_no_plain_file_is_refused(tmp_path):
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"abc")
    os.mkfifo(tmp_path / "pipe")
    for name in ("zero", "link", "pipe"):
        with pytest.raises(OSError, match="not a plain file"):
            read_small(tmp_path / name, 10)
        with pytest.raises(OSError, match="not a plain file"):
            check_plain(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        read_small(tmp_path, 10)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_small(tmp_path / "none", 10)
    with pytest.raises(FileNotFoundError):
        check_plain(tmp_path / "none")
