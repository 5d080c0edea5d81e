"""A file is known by its first bytes; what is none at all is named."""

import os
import tarfile

import pytest
import torch
from safetensors.torch import save_file

from resnext_det.errors import UserError
from resnext_det.weights.readers.reading import read_weights_file

STATE = {"w": torch.ones(2)}


def refused(path):
    with pytest.raises(UserError) as caught:
        read_weights_file(path, "given.pth")
    assert str(caught.value).startswith("given.pth: ")
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["pth", "pkl", "safetensors", "t7", "txt"])
def test_the_suffix_does_not_matter(tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    save_file(STATE, path)
    assert read_weights_file(path, "w").container == "safetensors"
    torch.save(STATE, path)
    assert read_weights_file(path, "w").container == "torch"
    torch.save(STATE, path, _use_new_zipfile_serialization=False)
    assert read_weights_file(path, "w").container == "torch-legacy"
    path.write_bytes(b"\x80\x02}.")
    assert read_weights_file(path, "w").container == "pickle"


def test_what_is_no_plain_file(tmp_path):
    assert "no such file" in refused(tmp_path / "none")
    assert "no such file" in refused(tmp_path / "a\0b")
    (tmp_path / "file").write_bytes(b"")
    assert "no such file" in refused(tmp_path / "file" / "below")
    assert "an empty file" in refused(tmp_path / "file")
    assert "a folder; give one of the files in it" in refused(tmp_path)
    (tmp_path / "model_final.pth").touch()
    assert f"a folder; give {tmp_path}/model_final.pth" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "a pipe, socket or device" in refused(tmp_path / "pipe")
    assert "a pipe, socket or device" in refused(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot be read" in refused(tmp_path / "loop")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n"
MISTAKEN = {
    "pointer": (POINTER, "a pointer of Git LFS, not the file itself; run `git lfs pull`"),
    "page": (b"\n <!DOCTYPE html><html>", "a web page, not weights"),
    "gzip": (b"\x1f\x8b\x08", "compressed by gzip; unpack it first"),
    "hdf5": (b"\x89HDF\r\n", "HDF5"),
    "text": (b"hello", "it begins with b'hello', as no known form does"),
    "one byte": (b"\x00", "it begins with"),
}


@pytest.mark.parametrize("name", MISTAKEN)
def test_files_given_by_mistake(tmp_path, name):
    data, expected = MISTAKEN[name]
    (tmp_path / "w.pth").write_bytes(data)
    assert expected in refused(tmp_path / "w.pth")


def test_tar_says_how_to_save_it_again(tmp_path):
    with tarfile.open(tmp_path / "w.pth", "w") as archive:
        archive.add(__file__, "storages")
    assert "a tar archive" in refused(tmp_path / "w.pth")
    assert "torch.save its state_dict() again" in refused(tmp_path / "w.pth")
