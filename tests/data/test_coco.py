"""Reading COCO files, and what is said about bad ones. Engine-neutral."""

import copy
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import CocoDataset, check_same_classes, join_datasets, load_coco
from resnext_det.errors import UserError

Writer = Callable[..., tuple[Path, Path]]


def load(paths: tuple[Path, Path], *, training: bool = True, **kwargs: bool) -> CocoDataset:
    return load_coco(DatasetEntry("set", *paths), training=training, **kwargs)


def complaint(paths: tuple[Path, Path], **kwargs: bool) -> str:
    with pytest.raises(UserError) as error:
        load(paths, **kwargs)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_records_follow_detectron2s_order(write_coco: Writer) -> None:
    dataset = load(write_coco())
    assert dataset.class_names == ("door", "wheel")
    assert dataset.category_ids == (3, 7)
    assert [record.image_id for record in dataset.records] == [2, 5, 9]
    first = dataset.records[0]
    np.testing.assert_array_equal(
        first.boxes, np.float32([[10.5, 5.25, 30.5, 35.75], [0, 0, 60, 40]])
    )
    assert first.classes.tolist() == [1, 0]
    assert first.iscrowd.tolist() == [False, True]
    assert (first.height, first.width) == (40, 60)
    assert dataset.records[2].boxes.shape == (0, 4)
    assert not dataset.records[2].usable


def test_missing_files_and_folders_are_named(write_coco: Writer, tmp_path: Path) -> None:
    path, images = write_coco()
    assert "nothing.json: no such file" in complaint((tmp_path / "nothing.json", images))
    assert "a folder, not a file" in complaint((images, images))
    assert "nowhere: no such folder" in complaint((path, tmp_path / "nowhere"))
    assert "a file, not a folder" in complaint((path, path))


def test_a_class_folder_is_not_a_detection_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="set=annotations"):
        load_coco(DatasetEntry("set", None, tmp_path), training=True)


def test_published_sets_hint_at_the_environment(tmp_path: Path) -> None:
    entry = DatasetEntry("coco_2017_val", tmp_path / "x.json", tmp_path, published=True)
    with pytest.raises(UserError, match="DETECTRON2_DATASETS"):
        load_coco(entry, training=False)


def test_missing_images_are_counted(write_coco: Writer) -> None:
    path, images = write_coco()
    (images / "a.png").unlink()
    (images / "c.png").unlink()
    message = complaint((path, images))
    assert "2 of the 3 images" in message
    assert "'a.png'" in message
    assert str(path) in message


def test_cut_or_foreign_text_is_not_json(write_coco: Writer, coco_content: dict[str, Any]) -> None:
    whole = json.dumps(coco_content)
    message = complaint(write_coco(text=whole[: len(whole) // 2]))
    assert "annotations.json: not JSON, or cut off" in message
    assert "line 1 column" in message
    path, images = write_coco()
    path.write_bytes(b"\xff\xd8\xff\xe0 not text")
    assert "not a JSON text file" in complaint((path, images))
    assert "not JSON" in complaint(write_coco(text=""))


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_missing_list_is_named(write_coco: Writer, coco_content: dict[str, Any], key: str) -> None:
    content = coco_content
    del content[key]
    assert f"not COCO: the key '{key}' is missing" in complaint(write_coco(content))
    assert f"the key '{key}' is not a list" in complaint(write_coco({**content, key: {}}))


def test_other_json_is_not_coco(write_coco: Writer, coco_content: dict[str, Any]) -> None:
    assert "the top level is a list" in complaint(write_coco(text="[1]"))
    assert "images[0] is not an object" in complaint(write_coco({**coco_content, "images": [4]}))
    assert "'categories' is empty" in complaint(write_coco({**coco_content, "categories": []}))


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("images", "height"),
        ("images", "file_name"),
        ("annotations", "bbox"),
        ("categories", "name"),
    ],
)
def test_missing_key_of_an_item_is_named(
    write_coco: Writer, coco_content: dict[str, Any], section: str, key: str
) -> None:
    content = coco_content
    del content[section][1][key]
    assert f"'{key}' of {section}[1] is missing" in complaint(write_coco(content))


@pytest.mark.parametrize("section", ["images", "annotations", "categories"])
def test_repeated_ids_are_named(
    write_coco: Writer, coco_content: dict[str, Any], section: str
) -> None:
    content = coco_content
    content[section].append(copy.deepcopy(content[section][0]))
    used = content[section][0]["id"]
    assert f"id {used} is used more than once; 1 such id" in complaint(write_coco(content))


def test_minival_may_repeat_annotation_ids(
    write_coco: Writer, coco_content: dict[str, Any]
) -> None:
    content = coco_content
    content["annotations"][1]["id"] = 1
    path, images = write_coco(content)
    renamed = path.rename(path.with_name("instances_minival2014.json"))
    assert len(load((renamed, images)).records) == 3


@pytest.mark.parametrize("key", ["image_id", "category_id"])
def test_references_to_nothing_are_named(
    write_coco: Writer, coco_content: dict[str, Any], key: str
) -> None:
    content = coco_content
    content["annotations"][2][key] = 77
    message = complaint(write_coco(content))
    assert f"annotation 3 has {key} 77" in message
    assert "1 such annotation" in message


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([3, 4, 0, 10], "width or height of zero"),
        ([3, 4, 10, -2], "width or height of zero"),
        ([41, 4, 10, 10], "wholly outside"),
        ([-20, 4, 19, 10], "wholly outside"),
        ([3, 4, 39, 10], "beyond the image's edge by 2 px"),
        ([3, -5.5, 30, 10], "beyond the image's edge by 5.5 px"),
    ],
)
def test_unusable_boxes_are_named_and_counted(
    write_coco: Writer, coco_content: dict[str, Any], box: list[float], reason: str
) -> None:
    content = coco_content
    content["annotations"][2]["bbox"] = box
    message = complaint(write_coco(content))
    for part in (
        "annotations.json", "annotation 3", "b.png (id 5, 40x60)", f"box {box}", reason,
        "1 unusable box", "DATASETS.DROP_BAD_BOXES",
    ):  # fmt: skip
        assert part in message


@pytest.mark.parametrize(
    "box", [[1, 2, 3], [1, 2, 3, None], [1, 2, float("nan"), 4], [1e400, 1, 2, 3], []]
)
def test_boxes_that_are_not_numbers_are_always_refused(
    write_coco: Writer, coco_content: dict[str, Any], box: list[Any]
) -> None:
    content = coco_content
    content["annotations"][2]["bbox"] = box
    assert "is not four finite numbers" in complaint(write_coco(content), drop_bad_boxes=True)


def test_bad_boxes_can_be_left_out(
    write_coco: Writer, coco_content: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    content = coco_content
    for number, box in enumerate(([3, 4, 0, 10], [50, 4, 10, 10], [3, 4, 60, 10])):
        content["annotations"].append(
            {"id": 10 + number, "image_id": 5, "category_id": 3, "bbox": box}
        )
    with caplog.at_level(logging.WARNING):
        dataset = load(write_coco(content), drop_bad_boxes=True)
    assert dataset.dropped_boxes == 2
    np.testing.assert_array_equal(
        dataset.records[1].boxes, np.float32([[1, 2, 40, 52], [3, 4, 63, 14]])
    )
    assert [line.count("2 unusable box(es)") for line in caplog.messages] == [1]


def test_published_sets_and_crowds_are_let_through(
    write_coco: Writer, coco_content: dict[str, Any]
) -> None:
    content = coco_content
    content["annotations"][1]["bbox"] = [3, 4, 0, 0]
    assert load(write_coco(content)).dropped_boxes == 0
    content["annotations"][1]["iscrowd"] = 0
    entry = DatasetEntry("coco_2017_train", *write_coco(content), published=True)
    assert load_coco(entry, training=True).dropped_boxes == 1


def test_rounding_at_the_edge_is_no_mistake(
    write_coco: Writer, coco_content: dict[str, Any]
) -> None:
    content = coco_content
    content["annotations"][2]["bbox"] = [-0.5, 2, 41.0, 59]
    assert load(write_coco(content)).records[1].boxes.tolist() == [[-0.5, 2, 40.5, 61]]


def test_objects_without_a_valid_polygon_are_left_out(
    write_coco: Writer, coco_content: dict[str, Any]
) -> None:
    content = coco_content
    content["annotations"][0]["segmentation"] = [[1, 2, 3, 4]]
    content["annotations"][2]["segmentation"] = [[1, 2, 3, 4, 5, 6]]
    dataset = load(write_coco(content))
    assert [len(record.boxes) for record in dataset.records] == [1, 1, 0]


def test_ignored_annotations_are_refused(write_coco: Writer, coco_content: dict[str, Any]) -> None:
    content = coco_content
    content["annotations"][0]["ignore"] = 1
    assert "annotation 1 is marked 'ignore'" in complaint(write_coco(content))


def test_test_sets_may_have_no_annotations(
    write_coco: Writer, coco_content: dict[str, Any]
) -> None:
    content = coco_content
    content["annotations"] = []
    assert "nothing to train on" in complaint(write_coco(content))
    del content["annotations"]
    assert len(load(write_coco(content), training=False).records) == 3


def test_classes_must_agree(write_coco: Writer, coco_content: dict[str, Any]) -> None:
    first = load(write_coco())
    content = coco_content
    content["categories"][0]["name"] = "tyre"
    second = load(write_coco(content))
    with pytest.raises(UserError, match="id 7 is 'wheel' in the first and 'tyre' in the second"):
        check_same_classes(first, second)
    content["categories"][0] = {"id": 8, "name": "wheel"}
    content["annotations"][0]["category_id"] = 8
    with pytest.raises(UserError, match="id 7 is 'wheel' in the first and absent"):
        join_datasets([first, load(write_coco(content))])


def test_joining(write_coco: Writer) -> None:
    one = load(write_coco())
    joined = join_datasets([one, one])
    assert [record.image_id for record in joined.records] == [2, 5, 9, 2, 5, 9]
    with pytest.raises(UserError, match="TRAIN is empty"):
        join_datasets([])


def test_real_files(shared: Callable[[str], Path]) -> None:
    folder = shared("coco128")
    native = load((folder / "native_train.json", folder / "images"))
    assert len(native.records) == 128
    assert native.class_names[:2] == ("person", "bicycle")
    assert (len(native.category_ids), native.category_ids[-1]) == (80, 90)
    assert sum(len(record.boxes) for record in native.records) == 939
    assert sum(not len(record.boxes) for record in native.records) == 2
    assert any(record.iscrowd.any() for record in native.records)
    cells = shared("bccd")
    for split, boxes in (("train", 3847), ("val", 1039)):
        dataset = load((cells / f"{split}.json", cells / "images"))
        assert sum(len(record.boxes) for record in dataset.records) == boxes
        assert dataset.class_names == ("Platelets", "RBC", "WBC")


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (DatasetEntry("a", None, Path("/d/train")), "is a folder (/d/train)"),
        (
            DatasetEntry("a", None, Path("x"), address="http://server/index.json"),
            "has an address (http://server/index.json)",
        ),
    ],
    ids=["folder", "address"],
)
def test_a_set_for_classification_is_named(entry: DatasetEntry, kind: str) -> None:
    with pytest.raises(UserError) as error:
        load_coco(entry, training=True)
    assert str(error.value) == f"data set 'a' {kind}; detection needs a=annotations.json:images/"
