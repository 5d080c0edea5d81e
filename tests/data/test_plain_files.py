"""What lies under an image's name and is no image file is refused, not waited on or read."""

import os

import pytest

from resnext_det.data import plain_files
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_set import FolderImages
from resnext_det.data.image_folder import load_image_folder
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.data.packed import PackedList
from resnext_det.data.plain_files import read_image_file
from resnext_det.data.shard_scan import scan_shard
from resnext_det.errors import UserError


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "set" / "cat" / "pipe.jpg"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    return path


def read(path):
    return FolderImages(PackedList([(str(path), 0)])).read(0)


def test_a_file_is_read_whole(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"abc" * 100_000)
    assert read_image_file(tmp_path / "a.jpg") == b"abc" * 100_000
    (tmp_path / "empty.jpg").write_bytes(b"")
    assert read_image_file(str(tmp_path / "empty.jpg")) == b""


def test_a_pipe_is_not_waited_on(pipe):
    with pytest.raises(UnreadableImage, match="^not a plain file$"):
        read(pipe)


def test_a_device_is_not_read():
    with pytest.raises(UnreadableImage, match="^not a plain file$"):
        read("/dev/zero")


def test_a_file_of_gigabytes_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(plain_files, "LARGEST_IMAGE", 10)
    (tmp_path / "a.jpg").write_bytes(b"x" * 11)
    with pytest.raises(UnreadableImage, match="^11 bytes; at most 10 are read$"):
        read(tmp_path / "a.jpg")


def test_the_check_before_a_run_does_not_wait_on_a_pipe(pipe):
    entry = DatasetEntry("mine", None, pipe.parent.parent)
    with pytest.raises(UserError) as error:
        load_image_folder(entry)
    assert str(error.value).startswith(f"{pipe}: cannot be read as an image (not a plain file); ")


def test_a_shard_that_is_a_pipe_is_not_waited_on(tmp_path):
    os.mkfifo(tmp_path / "a.tar")
    with pytest.raises(UserError, match=r"a\.tar: cannot be read \(not a plain file\)$"):
        scan_shard(tmp_path / "a.tar")
