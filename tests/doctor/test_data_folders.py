"""Published sets that are whole, half there or absent; caches. Engine-neutral."""

import pytest

from resnext_det.doctor import data_folders
from resnext_det.doctor.data_folders import look_at_cache, look_at_sets
from resnext_det.doctor.findings import Verdict


def put(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def test_no_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)
    (finding,) = look_at_sets(tmp_path / "no")
    assert finding.verdict is Verdict.NOTE
    assert finding.text == f"{tmp_path / 'no'} (default) is not there"
    monkeypatch.setenv("DETECTRON2_DATASETS", "x")
    assert "(DETECTRON2_DATASETS says so)" in next(look_at_sets(tmp_path / "no")).text


def test_an_empty_folder(tmp_path):
    (tmp_path / "coco" / "val2017").mkdir(parents=True)
    (finding,) = look_at_sets(tmp_path)
    assert finding.text == f"{tmp_path}: none of the published sets is whole"
    assert finding.facts == {"root": str(tmp_path), "complete": []}


def test_a_whole_set_and_its_kin(tmp_path):
    # The sets of key points share its images; they are not told of.
    put(tmp_path, "coco/val2017/1.jpg", "coco/annotations/instances_val2017.json")
    put(tmp_path, "cifar10/train/cat/1.png")
    (finding,) = look_at_sets(tmp_path)
    assert finding.verdict is Verdict.OK
    assert finding.text == f"{tmp_path}: 2 whole: cifar10_train, coco_2017_val"


def test_annotations_without_images(tmp_path):
    put(tmp_path, "coco/annotations/instances_train2017.json")
    first, second = look_at_sets(tmp_path)
    assert first.verdict is Verdict.NOTE
    assert second.text == "coco_2017_train (and 1 more sets) lacks coco/train2017"
    assert second.facts == {
        "sets": ["coco_2017_train", "coco_2017_train_panoptic_separated"],
        "missing": ["coco/train2017"],
    }


def test_half_a_panoptic_set(tmp_path):
    put(tmp_path, "coco/val2017/1.jpg", "coco/annotations/instances_val2017.json")
    put(tmp_path, "coco/panoptic_val2017/1.png")
    _, finding = look_at_sets(tmp_path)
    assert finding.text == (
        "coco_2017_val_panoptic_separated lacks coco/annotations/panoptic_val2017.json, "
        "coco/panoptic_stuff_val2017"
    )


def test_caches(tmp_path, monkeypatch):
    assert look_at_cache("weights", tmp_path).text == f"{tmp_path} can be written"
    there = look_at_cache("weights", tmp_path / "a" / "b")
    assert there.text == f"{tmp_path / 'a' / 'b'} is not there yet, and can be made"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(data_folders, "refusal_to_write", lambda _: "/c cannot be written (no)")
    finding = look_at_cache("weights", tmp_path)
    assert finding.verdict is Verdict.PROBLEM
    assert finding.text == f"{tmp_path}: /c cannot be written (no)"
    assert "RESNEXT_DET_CACHE" in finding.advice


@pytest.mark.parametrize(("value", "count"), [("1", 1), ("0", 0)])
def test_offline(value, count, monkeypatch):
    monkeypatch.setenv("RESNEXT_DET_OFFLINE", value)
    assert sum(finding.check == "network" for finding in data_folders.look()) == count
