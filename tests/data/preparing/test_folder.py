"""A user's own folder: resumed checks, prepared sets, odd images, nothing changed."""

import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnext_det.data.manifest import read_manifest
from resnext_det.data.preparing import folder
from resnext_det.data.preparing.folder import check_folder
from resnext_det.data.preparing.imagenet_1k import prepare_train
from resnext_det.errors import UserError
from tests.data.preparing.tiny_imagenet import COUNTS, TINY, files_below, make_archives


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("train/ant", "train/bee", "train/cat", "val/ant", "val/bee", "val/cat"):
        (tmp_path / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    return tmp_path


def test_nothing_but_the_manifest_is_written(root):
    before = files_below(root)
    report = check_folder(root, decode=True, command="resnext-det x")
    after = files_below(root)
    del after["manifest.json"]
    assert after == before
    assert read_manifest(root).splits == report.splits
    assert report.splits["train"].classes == {"ant": 3, "bee": 3, "cat": 3}
    assert report.splits["train"].kind == "folder"
    assert report.warnings == ()


def test_a_folder_that_cannot_be_written_to_is_checked_all_the_same(root, monkeypatch):
    before = files_below(root)
    monkeypatch.setattr(folder.os, "access", lambda path, mode: False)
    report = check_folder(root)
    assert files_below(root) == before
    assert report.splits["val"].classes == {"ant": 3, "bee": 3, "cat": 3}
    assert not report.is_kept
    assert report.warnings == (f"{root}: cannot be written to, so no manifest.json is left in it",)


def test_an_interrupted_check_goes_on(root, monkeypatch):
    list_images, seen = folder.images_in, []

    def interrupted(path):
        if len(seen) == 4:
            raise KeyboardInterrupt
        seen.append(path)
        return list_images(path)

    monkeypatch.setattr(folder, "images_in", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check_folder(root)
    monkeypatch.setattr(folder, "images_in", lambda path: seen.append(path) or list_images(path))
    check_folder(root)
    assert len(seen) == 6  # each class once
    assert sorted(p.name for p in root.iterdir()) == ["manifest.json", "train", "val"]


def test_classes_that_differ_are_a_warning(root):
    (root / "val/cat").rename(root / "val/dog")
    (warning,) = check_folder(root).warnings
    assert warning == (
        f"{root}: train/ and val/ do not have the same classes: 'cat' is not in val/; 2 such "
        "class(es)"
    )


def test_an_empty_class_and_no_class(root):
    for path in (root / "val/ant").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="val/ant: no image in this class folder"):
        check_folder(root)
    (root / "test").mkdir()
    for name in ("train", "val"):
        (root / name).rename(root / f"{name}.old")
    with pytest.raises(UserError, match="test: no class folders in it"):
        check_folder(root)


def test_a_set_that_was_prepared_keeps_its_sources(tmp_path):
    archives = make_archives(tmp_path / "downloads")
    target = tmp_path / "imagenet"
    record = prepare_train(archives.train, target, reference=TINY).record
    report = check_folder(target)
    assert report.splits["train"].classes == COUNTS
    assert len(report.splits["train"].broken) == 9  # random bytes are no images
    assert read_manifest(target).splits["train"] == record
    (target / "train/n00000001/n00000001_0.JPEG").unlink()
    with pytest.raises(UserError, match="n00000001: 3 images, but .*manifest.json has 4"):
        check_folder(target)


def test_headers_and_pixels_are_two_checks(root):
    check_folder(root)
    whole = (root / "train/ant/0.png").read_bytes()
    (root / "train/ant/0.png").write_bytes(whole[: len(whole) // 2])
    assert check_folder(root).splits["train"].broken == ()
    (broken,) = check_folder(root, decode=True).splits["train"].broken
    assert broken.startswith(f"{root}/train/ant/0.png: ")


@pytest.mark.parametrize("decode", [False, True], ids=["headers", "decode"])
def test_a_header_that_claims_gigabytes(root, decode):
    path = root / "train/ant/0.png"
    data = bytearray(path.read_bytes())
    data[16:24] = (65535).to_bytes(4, "big") * 2  # IHDR's width and height
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    (broken,) = check_folder(root, decode=decode).splits["train"].broken
    assert broken.startswith(f"{path}: ")
    assert "pixels" in broken


@pytest.mark.parametrize("decode", [False, True], ids=["headers", "decode"])
def test_warnings_of_decoders_stay_as_they_were(root, decode):
    before = list(warnings.filters)
    check_folder(root, decode=decode)
    assert warnings.filters == before
