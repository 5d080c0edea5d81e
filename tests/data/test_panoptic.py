"""The panoptic parts of a set: their names, what is read, and what is said. Engine-neutral."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from resnext_det.data.catalog import (
    DatasetEntry,
    PanopticFiles,
    find_dataset,
    parse_data_argument,
)
from resnext_det.data.coco import CocoDataset, check_same_classes, load_coco
from resnext_det.data.needs import Needs
from resnext_det.errors import UserError
from tests.data.annotated import Content, write_annotated

STUFF = Needs(stuff=True)


def load(entry: DatasetEntry, *, training: bool = True) -> CocoDataset:
    return load_coco(entry, training=training, needs=STUFF)


def complaint(entry: DatasetEntry, *, training: bool = True) -> str:
    with pytest.raises(UserError) as error:
        load(entry, training=training)
    assert "\n" not in str(error.value)
    return str(error.value)


def edit(entry: DatasetEntry, change: Callable[[Content], object]) -> None:
    assert entry.panoptic is not None
    path = entry.panoptic.json_file
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_five_parts_name_a_panoptic_set() -> None:
    entry = parse_data_argument("p=/d/i.json:/d/images/:/d/p.json:/d/png/:/d/stuff/")
    files = PanopticFiles(Path("/d/p.json"), Path("/d/png"), Path("/d/stuff"))
    assert entry == DatasetEntry("p", Path("/d/i.json"), Path("/d/images"), panoptic=files)


@pytest.mark.parametrize(
    "text", ["p=i.json:images:p.json", "p=i.json:images:p.json:png", "p=i.json:p.json:a:b:c",
             "p=i.json:images:p.json::stuff", "p=i.json:images:p.json:png:stuff:more"]
)  # fmt: skip
def test_other_than_five_parts_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"five parts, as p=instances\.json:images/:panoptic\.json"):
        parse_data_argument(text)


def test_detectron2s_names_lie_in_its_folders() -> None:
    entry = find_dataset("coco_2017_val_100_panoptic_separated", {}, Path("d"))
    assert entry.published
    assert entry.json_file == Path("d/coco/annotations/instances_val2017_100.json")
    assert entry.image_root == Path("d/coco/val2017")
    assert entry.panoptic == PanopticFiles(
        Path("d/coco/annotations/panoptic_val2017_100.json"),
        Path("d/coco/panoptic_val2017_100"),
        Path("d/coco/panoptic_stuff_val2017_100"),
    )


def test_stuff_classes_come_in_the_files_order(tmp_path: Path) -> None:
    entry = write_annotated(tmp_path)
    for training in (True, False):
        dataset = load(entry, training=training)
        assert dataset.stuff is not None
        assert dataset.stuff.names == ("sky", "ground")
        assert dataset.stuff.category_ids == (20, 12)
        assert dataset.stuff.num_labels == 3
    assert dataset.records[2].label_file == str(tmp_path / "stuff" / "2.png")


def test_a_set_without_panoptic_parts_is_refused(tmp_path: Path) -> None:
    message = complaint(replace(write_annotated(tmp_path), panoptic=None))
    assert "data set 'annotated' has no panoptic part" in message
    assert "annotated=instances.json:images/:panoptic.json:panoptic_png/:stuff_png/" in message


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ("json_file", "no such file; it should hold the panoptic annotations of data set"),
        ("panoptic_root", "no such folder; it should hold the panoptic pictures of data set"),
        ("stuff_root", "no such folder; it should hold the pictures of stuff labels"),
    ],
)
def test_missing_files_are_named(tmp_path: Path, part: str, what: str) -> None:
    entry = write_annotated(tmp_path)
    assert entry.panoptic is not None
    gone = tmp_path / "gone"
    message = complaint(replace(entry, panoptic=replace(entry.panoptic, **{part: gone})))
    assert f"{gone}: {what}" in message
    assert ("prepare_panoptic_fpn.py makes them" in message) is (part == "stuff_root")


def test_missing_pictures_are_counted(tmp_path: Path) -> None:
    entry = write_annotated(tmp_path)
    (tmp_path / "panoptic" / "1.png").unlink()
    assert load(entry).stuff  # training reads no panoptic picture
    assert "1 of the 6 panoptic pictures" in complaint(entry, training=False)
    (tmp_path / "stuff" / "3.png").unlink()
    message = complaint(entry)
    assert "1 of the 6 pictures of stuff labels" in message
    assert "the first is '3.png'" in message


def test_stuff_pictures_have_the_size_of_their_images(tmp_path: Path) -> None:
    entry = write_annotated(tmp_path)
    Image.new("L", (9, 8)).save(tmp_path / "stuff" / "2.png")
    assert "stuff/2.png: the image is 9x8, but the annotation file says 96x64" in complaint(entry)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.pop("categories"), "it has no list 'categories'"),
        (lambda c: c.pop("annotations"), "it has no list 'annotations'"),
        (lambda c: c["categories"][0].pop("isthing"), "'isthing' of categories[0] is missing"),
        (lambda c: c["annotations"][1].update(file_name=5), "'file_name' of annotations[1] is"),
    ],
)
def test_other_json_is_not_panoptic(
    tmp_path: Path, change: Callable[[Content], object], reason: str
) -> None:
    entry = write_annotated(tmp_path)
    edit(entry, change)
    message = complaint(entry)
    assert "panoptic.json: not COCO's panoptic format" in message
    assert reason in message


def test_both_files_have_the_same_things(tmp_path: Path) -> None:
    entry = write_annotated(tmp_path)
    edit(entry, lambda c: c["categories"].pop())
    message = complaint(entry)
    assert "annotated.json: category id 8 is a thing that" in message
    edit(entry, lambda c: c["categories"].append({"id": 9, "name": "blue", "isthing": 1}))
    assert "category id 8" in complaint(entry)


def test_things_have_the_same_names(tmp_path: Path) -> None:
    entry = write_annotated(tmp_path)
    edit(entry, lambda c: c["categories"][2].update(name="blue"))
    message = complaint(entry)
    assert "panoptic.json: category id 3 is 'blue', in " in message
    assert message.endswith("annotated.json 'red'; both files have the same things")


@pytest.mark.parametrize("key", [3, 12])
def test_category_ids_are_unique(tmp_path: Path, key: int) -> None:
    entry = write_annotated(tmp_path)
    edit(entry, lambda c: c["categories"][0].update(id=key))
    assert f"panoptic.json: category id {key} is used more than once" in complaint(entry)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("x", "'x' is not an object"),
        ({"id": "1"}, "id is '1', not a whole number"),
        ({"category_id": 999}, "category_id 999 is not in 'categories'"),
        ({"category_id": [3]}, "category_id [3] is not in 'categories'"),
        ({"area": None}, "area is None, not the number of its pixels"),
        ({"area": float("nan")}, "area is nan, not the number of its pixels"),
        ({"iscrowd": 2}, "iscrowd is 2; it must be 0 or 1"),
    ],
)
def test_segments_that_cannot_be_scored_are_named(
    tmp_path: Path, change: object, reason: str
) -> None:
    def spoil(content: Content) -> None:
        segments = content["annotations"][2]["segments_info"]
        segments[1] = {**segments[1], **change} if isinstance(change, dict) else change

    entry = write_annotated(tmp_path)
    edit(entry, spoil)
    assert load(entry).stuff  # training reads none
    message = complaint(entry, training=False)
    assert message.endswith(f"panoptic.json: segments_info[1] of image 2: {reason}")


def test_panoptic_pictures_are_as_their_images(tmp_path: Path) -> None:
    entry = write_annotated(tmp_path)
    Image.new("RGB", (9, 8)).save(tmp_path / "panoptic" / "2.png")
    message = complaint(entry, training=False)
    assert "panoptic/2.png: the image is 9x8, but the annotation file says 96x64" in message
    Image.new("L", (96, 64)).save(tmp_path / "panoptic" / "2.png")
    message = complaint(entry, training=False)
    assert "panoptic/2.png: its pixels are L; the number of a segment is its colour" in message


def test_there_are_stuff_classes(tmp_path: Path) -> None:
    entry = write_annotated(tmp_path)
    edit(entry, lambda c: c.update(categories=c["categories"][2:]))
    assert "0 categories are stuff (isthing 0); there have to be 1 to 254" in complaint(entry)


def test_an_evaluated_set_has_both_for_every_image(tmp_path: Path) -> None:
    entry = write_annotated(tmp_path)
    edit(entry, lambda c: c["annotations"].pop())
    assert load(entry).stuff
    message = complaint(entry, training=False)
    assert "panoptic.json: no image 5, which" in message
    assert "1 differ(s)" in message


def test_sets_agree_in_their_stuff(tmp_path: Path) -> None:
    one = load(write_annotated(tmp_path))
    assert one.stuff is not None
    other = replace(one, stuff=replace(one.stuff, names=("sky",)))
    with pytest.raises(UserError, match="stuff classes: number 2 is 'ground' in the first and abs"):
        check_same_classes(one, other)


def test_labels_of_an_evaluated_set_are_checked(tmp_path: Path) -> None:
    entry = write_annotated(tmp_path)
    path = tmp_path / "stuff" / "2.png"
    Image.new("L", (96, 64), 3).save(path)
    assert f"{path}: a pixel has the label 3; there are 0 (things), 1 to 2 (stuff" in complaint(
        entry, training=False
    )
    path.write_bytes(path.read_bytes()[:60])
    assert f"{path}: cannot be read as an image" in complaint(entry, training=False)


@pytest.mark.parametrize("mode", ["RGB", "P", "1", "I;16"])
def test_labels_are_8_bit_grey(tmp_path: Path, mode: str) -> None:
    """Detectron2 would read a palette's colours as labels."""
    entry = write_annotated(tmp_path)
    path = tmp_path / "stuff" / "2.png"
    Image.new(mode, (96, 64)).save(path)
    assert f"{path}: its pixels are {mode}; labels are 8-bit grey" in complaint(entry)


def test_labels_alone_can_be_trained_on(tmp_path: Path) -> None:
    def strip(content: Content) -> None:
        content["annotations"] = []

    entry = write_annotated(tmp_path, strip)
    with pytest.raises(UserError, match="nothing to train on"):
        load(entry)
    needs = Needs(stuff=True, objects=False)
    assert len(load_coco(entry, training=True, needs=needs).records) == 6
