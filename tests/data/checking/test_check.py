"""What is found in sets that have one thing wrong, and in those that have nothing."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.checking.check import CheckOptions, CheckResult, check_sets
from resnext_det.data.checking.findings import group_findings, title_of
from resnext_det.data.checking.results import check_json_of
from resnext_det.data.coco_problems import ProblemKind
from resnext_det.errors import UserError
from tests.data.checking.small_sets import HEIGHT, WIDTH, content, picture, write_set
from tests.data.pictures import encode


def kinds(result: CheckResult) -> Counter[str]:
    return Counter(finding.kind for finding in result.findings)


def check(*entries: DatasetEntry, **options: bool) -> CheckResult:
    return check_sets(entries, CheckOptions(**options))


def test_two_sound_sets_have_nothing_to_be_told(tmp_path):
    result = check(write_set(tmp_path, "train", [1, 2]), write_set(tmp_path, "val", [3]))
    assert result.findings == ()
    assert result.num_problems == 0
    facts = result.facts[0]
    assert (facts.num_images, facts.num_objects, facts.most_in_an_image) == (2, 4, 2)
    assert {name: count.objects for name, count in facts.classes.items()} == {"cat": 2, "dog": 2}


def test_the_problems_of_the_annotations_are_those_of_a_run(tmp_path):
    made = content(["1.png", "2.png"])
    made["annotations"][0]["bbox"] = [1, 2, 0, 4]
    made["annotations"][1]["category_id"] = 9
    made["annotations"][2]["bbox"] = [1, 2, 900, 4]
    result = check(write_set(tmp_path, "train", [1, 2], made))
    problems = [finding for finding in result.findings if finding.is_problem]
    assert [(f.kind, f.where.split(" of ")[0], f.image) for f in problems] == [
        ("unknown_category", "annotation 2", "1.png"),
        ("box_size", "annotation 1", "1.png"),
        ("box_overhang", "annotation 3", "2.png"),
    ]
    assert result.num_problems == 3
    told = check(write_set(tmp_path, "train", [1, 2], made), drop_bad_boxes=True)
    assert [f.kind for f in told.findings if f.is_problem] == ["unknown_category"]


def test_every_kind_has_a_title():
    assert title_of("leak_near") == "nearly the same picture in two sets"
    for kind in ProblemKind:
        assert title_of(kind.value) == kind.value.replace("_", " ")


def test_images_that_are_missing_broken_or_of_another_size(tmp_path):
    entry = write_set(tmp_path, "train", [1, 2, 3, 4])
    images = entry.image_root
    (images / "1.png").unlink()
    (images / "2.png").write_bytes((images / "2.png").read_bytes()[:200])
    Image.new("RGB", (5, 7)).save(images / "3.png")
    picture(8).save(images / "extra.png")
    result = check(entry)
    other_size = (
        "image 3.png (id 3) is 5x7, but the annotation file says 64x48 (width x height, after "
        "EXIF rotation)"
    )
    assert [finding.text for finding in result.findings] == [
        f"image 1.png (id 1) is not in {images}",
        result.findings[1].text,
        other_size,
        f"image extra.png is in {images}, but no annotation file names it",
    ]
    assert result.findings[1].kind == "image_broken"
    assert result.findings[1].text.startswith("image 2.png (id 2): cannot be read as an image")
    assert result.num_problems == 3


def test_turned_images(tmp_path):
    entry = write_set(tmp_path, "train", [1, 2])
    (entry.image_root / "1.png").write_bytes(encode(picture(1), "PNG", orientation=3))
    (entry.image_root / "2.png").write_bytes(encode(picture(2), "PNG", orientation=8))
    upside_down, sideways = check(entry).findings
    assert upside_down.kind == "image_turned"
    assert upside_down.text == (
        "image 1.png (id 1) is turned by 180° by its EXIF orientation 3 before its boxes are used"
    )
    assert not upside_down.is_problem
    assert sideways.kind == "image_other_size"
    assert sideways.advice == "turn the boxes, or take the orientation out of the file"


def test_leaks_between_sets_and_twins_within_one(tmp_path):
    train, val = write_set(tmp_path, "train", [1, 2, 3, 4]), write_set(tmp_path, "val", [5, 6, 7])
    shutil.copy(train.image_root / "1.png", val.image_root / "5.png")
    picture(2).save(val.image_root / "6.png", compress_level=1)
    picture(3).resize((32, 24)).resize((WIDTH, HEIGHT)).save(val.image_root / "7.png")
    shutil.copy(train.image_root / "1.png", train.image_root / "4.png")
    result = check(train, val)
    assert [(f.dataset, f.kind, f.text, f.other) for f in result.findings] == [
        ("train", "twin_same_file", "image 4.png is the same file as 1.png", "train: 1.png"),
        ("val", "leak_same_file", "image 5.png is the same file as 1.png of train", "train: 1.png"),
        (
            "val",
            "leak_same_pixels",
            "image 6.png has the same pixels as 2.png of train",
            "train: 2.png",
        ),
        (
            "val",
            "leak_near",
            "image 7.png is nearly the same picture as 3.png of train",
            "train: 3.png",
        ),
    ]
    assert result.num_problems == 3


def test_classes_that_a_set_lacks_or_names_otherwise(tmp_path):
    made = content(["1.png"])
    made["annotations"] = made["annotations"][:1]  # no dog
    made["categories"].append({"id": 3, "name": "eel"})
    other = content(["2.png"])
    other["annotations"] = other["annotations"][1:]  # no cat
    other["categories"][0]["name"] = "Cat"
    result = check(write_set(tmp_path, "train", [1], made), write_set(tmp_path, "val", [2], other))
    assert [(f.dataset, f.kind, f.text) for f in result.findings] == [
        ("val", "categories_differ", "category id 1 is 'cat' in train and 'Cat' in val"),
        ("val", "categories_differ", "category id 3 is 'eel' in train and absent in val"),
        ("val", "class_untested", "class 'cat' has objects in train, but none in val"),
        ("train", "class_untrained", "class 'dog' has objects in val, but none in train"),
        ("train", "class_empty", "class 'eel' has no object anywhere"),
        ("train", "class_empty", "class 'Cat' has no object anywhere"),
    ]


def test_images_without_objects_and_with_too_many(tmp_path):
    made = content(["1.png", "2.png"])
    many = [{**made["annotations"][0], "id": n} for n in range(101)]
    made["annotations"] = many
    result = check(write_set(tmp_path, "train", [1, 2], made))
    assert [finding.text for finding in result.findings if finding.kind != "class_empty"] == [
        "image 1.png (id 1) has 101 objects, but 100 detections are kept",
        "image 2.png (id 2) has no object",
    ]
    assert result.num_problems == 0


def test_a_set_of_crowds_is_nothing_to_train_on(tmp_path):
    made = content(["1.png"])
    for annotation in made["annotations"]:
        annotation["iscrowd"] = 1
    result = check(write_set(tmp_path, "train", [1], made))
    assert kinds(result)["nothing_to_train"] == 1
    assert result.facts[0].num_crowds == 2


@pytest.mark.parametrize(
    "text", ["", "[1", '{"images": [', "\x00"], ids=["empty", "list", "cut", "nul"]
)
def test_a_file_cut_off_is_a_finding(text, tmp_path):
    entry = write_set(tmp_path, "train", [1])
    assert entry.json_file is not None
    entry.json_file.write_text(text)
    (found,) = check(entry).findings
    assert (found.kind, found.where) == ("unreadable", str(entry.json_file))
    assert "not JSON, or cut off" in found.reason


@pytest.mark.parametrize(
    "text", ["null", "[]", "3", "{}", '{"images": {}, "annotations": [3], "categories": [[]]}']
)
def test_other_json_is_told_apart(text, tmp_path):
    entry = write_set(tmp_path, "train", [1])
    assert entry.json_file is not None
    entry.json_file.write_text(text)
    result = check(entry)
    assert kinds(result)["layout"] >= 1
    assert result.num_problems >= 1


def test_odd_values_do_not_end_a_check(tmp_path):
    entry = write_set(tmp_path, "train", [1])
    made = content(["1.png"])
    odd = [None, [], {}, "x", float("nan"), float("inf"), 10**400, True, "\0", "../1.png", -1]
    for key in ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation"):
        made["annotations"] += [{**made["annotations"][0], key: value} for value in odd]
    made["annotations"] += [{**made["annotations"][0], "bbox": [value, 1, 2, 3]} for value in odd]
    for key in ("id", "file_name", "height", "width"):
        made["images"] += [{**made["images"][0], key: value} for value in odd]
    made["categories"] += [{"id": value, "name": value} for value in odd]
    assert entry.json_file is not None
    entry.json_file.write_text(json.dumps(made))
    result = check(entry)
    assert result.num_problems > 50
    json.dumps(check_json_of(result), allow_nan=False)


def test_names_that_leave_the_folder_are_not_opened(tmp_path):
    made = content(["../val/3.png"])
    entry = write_set(tmp_path, "train", [1], made)
    write_set(tmp_path, "val", [3])
    found = [f for f in check(entry).findings if f.is_problem]
    assert [finding.kind for finding in found] == ["file_name_leaves"]
    result = check(entry, trust_file_names=True)
    assert not result.sets[0].facts[0].error
    (note,) = [f for f in result.findings if f.kind == "file_name_leaves"]
    assert (note.is_problem, note.advice) == (False, "")


def test_one_mistake_is_told_once(tmp_path):
    made = content(["1.png", "2.png"])
    del made["images"][0]["height"]
    made["categories"][1]["name"] = 5
    result = check(write_set(tmp_path, "train", [1, 2], made))
    assert [(f.kind, f.reason) for f in result.findings if f.is_problem] == [
        ("layout", "is missing"),
        ("layout", "is 5"),
    ]
    made = content(["1.png"])
    made["annotations"] = [
        {**made["annotations"][0], "id": n, "bbox": [20, 10, 60, 48]} for n in range(12)
    ]
    result = check(write_set(tmp_path, "val", [1], made))
    assert [f.kind for f in result.findings if f.is_problem] == ["box_corners"]


def test_files_and_folders_that_are_not_there(tmp_path):
    entry = write_set(tmp_path, "train", [1])
    with pytest.raises(UserError, match="none.json: no such file, for data set 'a'"):
        check(DatasetEntry("a", tmp_path / "none.json", entry.image_root))
    with pytest.raises(UserError, match="none: no such folder, for data set 'a'"):
        check(DatasetEntry("a", entry.json_file, tmp_path / "none"))
    with pytest.raises(UserError, match="none: no such folder, for data set 'a'"):
        check(DatasetEntry("a", None, tmp_path / "none"))
    with pytest.raises(UserError, match="one after the other"):
        check(entry, DatasetEntry("b", None, tmp_path))


def make_folder(root: Path, classes: dict[str, list[int]]) -> DatasetEntry:
    for name, seeds in classes.items():
        (root / name).mkdir(parents=True)
        for seed in seeds:
            picture(seed).save(root / name / f"{seed}.png")
    return DatasetEntry(root.name, None, root)


def test_class_folders(tmp_path):
    train = make_folder(tmp_path / "train", {"ant": [1, 2], "cat": [3, 1], "eel": [4]})
    val = make_folder(tmp_path / "val", {"ant": [5], "cat": [2]})
    (tmp_path / "val/ant/6.png").write_bytes(b"no image")
    result = check(train, val)
    assert result.facts[0].classes["ant"].images == 2
    said = [(f.dataset, f.kind, f.text.replace(str(tmp_path), "")) for f in result.findings]
    not_ant = "but of class 'cat', not 'ant'"
    assert said == [
        (
            "val",
            "image_broken",
            "image /val/ant/6.png: not an image in a format that can be read",
        ),
        ("val", "categories_differ", "class number 2 is 'eel' in train and absent in val"),
        ("val", "class_untested", "class 'eel' has objects in train, but none in val"),
        (
            "train",
            "twin_other_class",
            f"image /train/cat/1.png is the same file as /train/ant/1.png, {not_ant}",
        ),
        (
            "val",
            "leak_same_file",
            f"image /val/cat/2.png is the same file as /train/ant/2.png of train, {not_ant}",
        ),
    ]


def test_a_folder_without_classes_is_a_finding(tmp_path):
    (tmp_path / "train").mkdir()
    (found,) = check(DatasetEntry("train", None, tmp_path / "train")).findings
    assert found.kind == "set"
    assert "no class folders in it" in found.reason


def test_groups_begin_with_problems(tmp_path):
    entry = write_set(tmp_path, "train", [1, 2, 3], content(["1.png"]))
    made = json.loads((tmp_path / "train.json").read_text())
    made["annotations"][0]["area"] = "x"
    (tmp_path / "train.json").write_text(json.dumps(made))
    groups = group_findings(check(entry).findings)
    assert [(group.kind, len(group.findings)) for group in groups] == [
        ("area", 1),
        ("image_unnamed", 2),
    ]


def test_the_json_is_the_same_every_time(tmp_path):
    entries = write_set(tmp_path, "train", [1, 2]), write_set(tmp_path, "val", [2])
    first, second = (json.dumps(check_json_of(check(*entries))) for _ in range(2))
    assert first == second
    made = json.loads(first)
    assert made["schema"] == 1
    assert (made["problems"], made["notes"]) == (1, 0)
    assert made["counts"] == [
        {"dataset": "val", "kind": "leak_same_file", "level": "problem", "count": 1}
    ]
    assert made["datasets"][1]["facts"]["classes"]["cat"] == {
        "objects": 1,
        "images": 1,
        "crowds": 0,
    }
    assert set(made["findings"][0]) == {
        *("dataset", "level", "kind", "where", "image", "image_id", "other", "reason", "advice")
    }
