"""Values of a COCO file that scoring would stumble on after training. Engine-neutral."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import CocoDataset, load_coco
from resnext_det.errors import UserError

Writer = Callable[..., tuple[Path, Path]]


def load(paths: tuple[Path, Path], *, training: bool = False) -> CocoDataset:
    return load_coco(DatasetEntry("set", *paths), training=training)


def complaint(paths: tuple[Path, Path]) -> str:
    messages = set()
    for training in (True, False):
        with pytest.raises(UserError) as error:
            load(paths, training=training)
        messages.add(str(error.value))
    (message,) = messages
    assert "\n" not in message
    assert "annotations.json: " in message
    return message


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_in_any_of_its_encodings_is_read(
    write_coco: Writer, coco_content: dict[str, Any], encoding: str
) -> None:
    coco_content["categories"][0]["name"] = "räder"
    path, images = write_coco()
    path.write_bytes(json.dumps(coco_content, ensure_ascii=False).encode(encoding))
    assert load((path, images)).class_names == ("door", "räder")


def test_a_number_beyond_pythons_reader_is_no_traceback(write_coco: Writer) -> None:
    assert "not a JSON text file" in complaint(write_coco(text=f'{{"images": {"9" * 5000}}}'))


@pytest.mark.parametrize("key", ["height", "width"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 64.5, 0, -3, True, 10**400])
def test_sizes_that_are_no_pixels_name_the_image(
    write_coco: Writer, coco_content: dict[str, Any], key: str, value: float
) -> None:
    coco_content["images"][1][key] = value
    message = complaint(write_coco(coco_content))
    assert f"image 2 (a.png): {key} is {value!r}, not a whole number of pixels" in message


def test_a_whole_number_written_with_a_point_is_a_size(
    write_coco: Writer, coco_content: dict[str, Any]
) -> None:
    coco_content["images"][1]["height"] = 40.0
    assert load(write_coco(coco_content)).records[0].height == 40


@pytest.mark.parametrize("name", ["two\nlines", "\ud800", "tab\t", "\u2028"])
def test_class_names_are_one_line(
    write_coco: Writer, coco_content: dict[str, Any], name: str
) -> None:
    category = coco_content["categories"][0]
    category["name"] = name
    message = complaint(write_coco(coco_content))
    expected = f"category id {category['id']} has the name {name!r}, which is not one line of text"
    assert expected in message
    category["name"] = "naïve 猫\u3000\u00a0👩‍🚀"
    assert category["name"] in load(write_coco(coco_content)).class_names


@pytest.mark.parametrize("name", ["", ".", "..", "./", "sub/.."])
def test_file_names_that_name_no_file(
    write_coco: Writer, coco_content: dict[str, Any], name: str
) -> None:
    coco_content["images"][1]["file_name"] = name
    assert f"image 2: file_name {name!r} names no file" in complaint(write_coco(coco_content))


def test_a_folder_is_no_image(write_coco: Writer, coco_content: dict[str, Any]) -> None:
    coco_content["images"][1]["file_name"] = "folder"
    path, images = write_coco(coco_content)
    (images / "folder").mkdir()
    with pytest.raises(UserError, match="1 of the 3 images .* the first is 'folder'"):
        load((path, images))


@pytest.mark.parametrize("value", ["yes", 2, -1, None, [], 1.5])
def test_iscrowd_is_0_or_1(write_coco: Writer, coco_content: dict[str, Any], value: object) -> None:
    coco_content["annotations"][2]["iscrowd"] = value
    message = complaint(write_coco(coco_content))
    assert f"annotation 3: iscrowd is {value!r}; it must be 0 or 1" in message


def test_iscrowd_may_be_a_truth_value(write_coco: Writer, coco_content: dict[str, Any]) -> None:
    coco_content["annotations"][0]["iscrowd"] = True
    coco_content["annotations"][2]["iscrowd"] = False
    dataset = load(write_coco(coco_content))
    assert [record.iscrowd.tolist() for record in dataset.records] == [[True, True], [False], []]


@pytest.mark.parametrize("value", [None, "abc", [], float("nan"), float("inf"), True])
def test_area_is_a_number(write_coco: Writer, coco_content: dict[str, Any], value: object) -> None:
    coco_content["annotations"][2]["area"] = value
    message = complaint(write_coco(coco_content))
    assert f"annotation 3: area is {value!r}, not a finite number; leave the key out" in message


@pytest.mark.parametrize(
    "value", [[5, 5, 5, 5, 5, 5], [None], "abc", 5, [{}], [[1, 2, 3, 4, 5, 6], 7]]
)
def test_segmentation_is_polygons_or_run_lengths(
    write_coco: Writer, coco_content: dict[str, Any], value: object
) -> None:
    coco_content["annotations"][2]["segmentation"] = value
    message = complaint(write_coco(coco_content))
    assert f"annotation 3: segmentation is {value}, neither a list of polygons" in message


@pytest.mark.parametrize("value", [None, [], {"counts": [3], "size": [60, 40]}])
def test_segmentation_may_be_empty_or_run_lengths(
    write_coco: Writer, coco_content: dict[str, Any], value: object
) -> None:
    coco_content["annotations"][2]["segmentation"] = value
    assert len(load(write_coco(coco_content)).records[1].boxes) == 1


def test_long_segmentation_is_shown_in_part(
    write_coco: Writer, coco_content: dict[str, Any]
) -> None:
    coco_content["annotations"][2]["segmentation"] = [5] * 1000
    assert len(complaint(write_coco(coco_content))) < 500


def test_image_ids_of_two_kinds_are_refused(
    write_coco: Writer, coco_content: dict[str, Any]
) -> None:
    coco_content["images"][2]["id"] = "nine"
    message = complaint(write_coco(coco_content))
    assert "image ids are partly numbers and partly texts, as 5 and 'nine'" in message


def test_truth_is_what_any_library_can_score(
    write_coco: Writer, coco_content: dict[str, Any]
) -> None:
    coco_content["annotations"][0] |= {"id": "first", "area": 7}
    coco_content["annotations"][2]["iscrowd"] = True
    truth = load(write_coco(coco_content)).truth
    assert truth is not None
    assert truth["annotations"] == [
        {"id": 1, "image_id": 2, "category_id": 7, "bbox": [10.5, 5.25, 20.0, 30.5],
         "area": 7.0, "iscrowd": 0},
        {"id": 2, "image_id": 2, "category_id": 3, "bbox": [0.0, 0.0, 60.0, 40.0],
         "area": 2400.0, "iscrowd": 1},
        {"id": 3, "image_id": 5, "category_id": 3, "bbox": [1.0, 2.0, 39.0, 50.0],
         "area": 1950.0, "iscrowd": 1},
    ]  # fmt: skip
    assert [image["id"] for image in truth["images"]] == [5, 2, 9]
    assert truth["categories"] == [{"id": 7, "name": "wheel"}, {"id": 3, "name": "door"}]


def test_truth_keeps_boxes_that_training_leaves_out(
    write_coco: Writer, coco_content: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """What is scored against is the file's, as in Detectron2."""
    coco_content["annotations"][2]["bbox"] = [1, 2, 0, 50]
    entry = DatasetEntry("set", *write_coco(coco_content))
    with caplog.at_level(logging.WARNING):
        dataset = load_coco(entry, training=False, drop_bad_boxes=True)
    assert dataset.truth is not None
    assert dataset.dropped_boxes == 1
    assert len(dataset.truth["annotations"]) == 3
    assert load_coco(entry, training=True, drop_bad_boxes=True).truth is None
