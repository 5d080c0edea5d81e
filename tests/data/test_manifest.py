"""The manifest of a prepared set: round trip, damage, counts against it."""

import logging

import pytest

from resnext_det.data.manifest import (
    Manifest,
    SourceFile,
    SplitRecord,
    check_against_manifest,
    package_version,
    read_manifest,
    write_manifest,
)
from resnext_det.errors import UserError

RECORD = SplitRecord(
    "imagenet-1k",
    {"ant": 3, "cat": 2},
    sources=(SourceFile("a.tar", 7, "d41d", None),),
    command="resnext-det dataset prepare …",
    broken=("ant/1.png: empty",),
    notes={"published": 1300},
)


def test_round_trip(tmp_path):
    assert read_manifest(tmp_path) == Manifest()
    manifest = Manifest().with_split("train", RECORD)
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    assert read_manifest(tmp_path).splits["train"].version == package_version()
    assert str(RECORD) == "5 images of 2 classes"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"format": 2}', "not a manifest that this version reads (format 2, not 1)"),
        ("[]", "not a manifest that this version reads (format None, not 1)"),
        ('{"format": 1, "splits": {"train": {}}}', "a damaged manifest ('kind'): delete it"),
        ('{"format": 1', "not JSON, or cut off"),
    ],
    ids=["newer", "list", "damaged", "cut"],
)
def test_what_is_no_manifest(tmp_path, text, expected):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError) as caught:
        read_manifest(tmp_path)
    assert expected in str(caught.value)


def test_a_lost_image_is_named(tmp_path):
    write_manifest(tmp_path, Manifest().with_split("train", RECORD))
    check_against_manifest(tmp_path / "train", {"ant": 3, "cat": 2})
    check_against_manifest(tmp_path / "val", {"ant": 1})
    with pytest.raises(UserError) as caught:
        check_against_manifest(tmp_path / "train", {"ant": 3, "cat": 1})
    assert str(caught.value) == (
        f"{tmp_path}/train/cat: 1 images, but {tmp_path}/manifest.json has 2 (4 and 5 in all): "
        "prepare the set again in an empty folder, or delete the manifest if the change is meant"
    )


def test_a_folder_of_the_users_own_may_grow(tmp_path, caplog):
    record = SplitRecord("folder", {"ant": 3})
    write_manifest(tmp_path, Manifest().with_split("train", record))
    with caplog.at_level(logging.WARNING, "resnext_det"):
        check_against_manifest(tmp_path / "train", {"ant": 3, "bee": 1})
    assert "bee: 1 images, but" in caplog.text


@pytest.mark.parametrize(
    "text",
    ['{"params": {"format": 2}, "files": 5000}', "[]", "cut off {", "[" * 100_000],
    ids=["quickstart", "list", "cut", "deep"],
)
def test_a_folder_is_trained_on_beside_another_programs_manifest(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    check_against_manifest(tmp_path / "train", {"ant": 1})
