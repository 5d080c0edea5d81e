"""Mended copies: each mend, what is left, and that a run takes the copy."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.checking.check import CheckOptions, check_sets
from resnext_det.data.checking.image_facts import ImageFacts
from resnext_det.data.checking.mend_images import KnownImages
from resnext_det.data.checking.mend_log import WORDS, MendLog
from resnext_det.data.checking.mend_numbers import as_number
from resnext_det.data.checking.mending import check_fix_folder, mend_sets, mended_content
from resnext_det.data.coco import load_coco
from resnext_det.data.coco_survey import survey
from resnext_det.errors import UserError
from tests.data.checking.small_sets import (
    HEIGHT,
    WIDTH,
    content,
    write_set,
    write_spoilt_set,
)

SOUND = ImageFacts(height=HEIGHT, width=WIDTH)
NAMES = ["1.png", "2.png"]


def mend(made: Any, *, facts: dict[str, ImageFacts] | None = None, masks: bool = False):
    """Returns the mended content and the counts; the original is not changed."""
    before = copy.deepcopy(made)
    log = MendLog()
    known = KnownImages(Path("nowhere"), facts or dict.fromkeys(NAMES, SOUND))
    found = mended_content(made, known, log, masks=masks)
    assert json.dumps(made) == json.dumps(before)
    return found, dict(log.counts), log


def boxes(made: Any) -> list[Any]:
    return [annotation["bbox"] for annotation in made["annotations"]]


def with_box(box: Any, **more: Any) -> dict[str, Any]:
    made = content(NAMES)
    made["annotations"] = [{**made["annotations"][0], "bbox": box, **more}]
    return made


def test_a_sound_file_stays_as_it_is():
    made = content(NAMES)
    assert mend(made)[:2] == (made, {})


@pytest.mark.parametrize(
    ("box", "expected", "kind"),
    [
        (["1", "2.5", "3", 4], [1, 2.5, 3, 4], "number_as_text"),
        ([30, 40, -10, -20], [20, 20, 10, 20], "box_swapped"),
        ([-5, 4, 20, 30], [0, 4, 15, 30], "box_clipped"),
        ([50, 40, 20, 30], [50, 40, 14, 8], "box_clipped"),
        ([1, 2, 0, 4], None, "box_removed"),
        ([70, 2, 5, 4], None, "box_removed"),
        ([-9, 2, 5, 4], None, "box_removed"),
        ([1, 2, float("nan"), 4], None, "box_removed"),
        ([1, 2, float("inf"), 4], None, "box_removed"),
        ([1, 2, 10**400, 4], None, "box_removed"),
        ([1, 2, True, 4], None, "box_removed"),
        ([1, 2, 3], None, "box_removed"),
        (None, None, "box_removed"),
        ("1, 2, 3, 4", None, "box_removed"),
        ([-0.5, 0, 64.9, 48], [-0.5, 0, 64.9, 48], None),  # within a pixel: rounding
    ],
)
def test_boxes(box, expected, kind):
    found, counts, _ = mend(with_box(box, area=1.0))
    assert boxes(found) == ([] if expected is None else [expected])
    assert counts == ({} if kind is None else {kind: 1})
    assert not list(survey("x.json", found))


def test_a_box_is_made_of_its_polygons():
    outline = [[5, 6, 15, 6, 15, 26], [1, 8, 9, 8, 9, 9]]
    found, counts, _ = mend(with_box("none", segmentation=outline))
    assert boxes(found) == [[1, 6, 14, 20]]
    assert counts == {"box_from_polygons": 1}
    assert mend(with_box("none", segmentation=[["x", 1, 2, 3, 4, 5]]))[1] == {"box_removed": 1}


def test_the_box_of_a_crowd_is_left_alone():
    found, counts, _ = mend(with_box([-9, -9, 200, 200], iscrowd=1))
    assert (boxes(found), counts) == ([[-9, -9, 200, 200]], {})


def test_an_area_follows_its_box_where_it_was_the_boxs():
    assert mend(with_box([-5, 4, 20, 30], area=600))[0]["annotations"][0]["area"] == 450
    assert mend(with_box([-5, 4, 20, 30], area=333))[0]["annotations"][0]["area"] == 333
    found, counts, _ = mend(with_box([1, 2, 3, 4], area="12"))
    assert (found["annotations"][0]["area"], counts) == (12, {"number_as_text": 1})
    found, counts, _ = mend(with_box([1, 2, 3, 4], area=float("nan")))
    assert ("area" in found["annotations"][0], counts) == (False, {"area": 1})


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", 1), ("0", 0), (True, 1), (False, 0), (1.0, 1), (None, 0), (2, 2), ("yes", "yes")],
)
def test_crowds(value, expected):
    found, counts, _ = mend(with_box([1, 2, 3, 4], iscrowd=value))
    assert found["annotations"][0]["iscrowd"] == expected
    mended = (value is not expected and value != expected) or type(value) is not type(expected)
    assert counts == ({"iscrowd": 1} if mended else {})


def test_what_is_ignored_becomes_a_crowd():
    found, counts, _ = mend(with_box([1, 2, 3, 4], ignore=1))
    assert found["annotations"][0]["iscrowd"] == 1
    assert "ignore" not in found["annotations"][0]
    assert counts == {"ignored": 1}
    assert mend(with_box([1, 2, 3, 4], ignore=0))[1] == {}


def test_segmentations():
    found, counts, _ = mend(with_box([1, 2, 3, 4], segmentation="x"))
    assert ("segmentation" in found["annotations"][0], counts) == (False, {"segmentation": 1})
    assert mend(with_box([1, 2, 3, 4], segmentation="x"), masks=True)[1] == {}
    triangle = [1, 2, 3, 4, 5, 6]
    found, counts, _ = mend(with_box([1, 2, 3, 4], segmentation=[[1, 2], triangle]))
    assert found["annotations"][0]["segmentation"] == [triangle]
    assert counts == {"polygon": 1}
    found = mend(with_box([1, 2, 3, 4], segmentation=[[1, 2]]))[0]
    assert "segmentation" not in found["annotations"][0]
    run_length = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}
    assert mend(with_box([1, 2, 3, 4], segmentation=run_length))[1] == {}


def test_repeated_ids_are_renumbered():
    made = content(NAMES)
    made["annotations"][2]["id"] = 1
    made["images"][1]["id"] = 1
    found, counts, log = mend(made)
    # The two annotations that name an image 2 may have meant another one.
    assert [item["id"] for item in found["images"]] == [1, 3]
    assert [item["id"] for item in found["annotations"]] == [1, 2]
    assert counts == {"id_renumbered": 1, "unknown_image": 2}
    assert log.ids == {"images": [[1, 3]]}
    made = content(NAMES)
    made["annotations"][2]["id"] = 1
    found, counts, log = mend(made)
    assert [item["id"] for item in found["annotations"]] == [1, 2, 5, 4]
    assert log.ids == {"annotations": [[1, 5]]}


def test_entries_that_are_there_twice():
    made = content(NAMES)
    made["images"].append(dict(made["images"][0]))
    made["categories"].append({**made["categories"][0], "supercategory": "animal"})
    found, counts, _ = mend(made)
    assert (len(found["images"]), len(found["categories"])) == (2, 2)
    assert counts == {"entry_twice": 2}


def test_two_categories_of_one_id_have_no_obvious_mend():
    made = content(NAMES)
    made["categories"].append({"id": 1, "name": "eel"})
    found, counts, _ = mend(made)
    assert counts == {}
    assert [problem.kind.value for problem in survey("x.json", found)] == ["repeated_id"]


def test_ids_written_as_text():
    made = content(NAMES)
    made["categories"][0]["id"] = "1"
    made["annotations"][0]["category_id"] = "1"
    made["annotations"][1]["category_id"] = "2"
    made["annotations"][2]["image_id"] = "2"
    made["annotations"][3]["image_id"] = 2.0
    found, counts, _ = mend(made)
    assert found == content(NAMES)
    assert counts == {"number_as_text": 4}


def test_image_ids_of_both_kinds():
    made = content(NAMES)
    made["images"][1]["id"] = "2"
    found, counts, log = mend(made)
    assert (found, counts) == (content(NAMES), {"id_alike": 1})
    assert log.ids == {"images": [["2", 2]]}
    made = content(NAMES)
    made["images"][1]["id"] = "b"
    for annotation in made["annotations"][2:]:
        annotation["image_id"] = "b"
    found, counts, log = mend(made)
    assert [item["id"] for item in found["images"]] == ["1", "b"]
    assert [item["image_id"] for item in found["annotations"]] == ["1", "1", "b", "b"]
    assert counts == {"id_alike": 1}
    assert log.ids == {"images": [[1, "1"]]}


def test_category_ids_that_are_names():
    made = content(NAMES)
    for item in made["categories"]:
        item["id"] = item["name"]
    for annotation in made["annotations"]:
        annotation["category_id"] = {1: "cat", 2: "dog"}[annotation["category_id"]]
    found, counts, log = mend(made)
    assert found == content(NAMES)
    assert counts == {"id_alike": 2}
    assert log.ids == {"categories": [["cat", 1], ["dog", 2]]}


def test_missing_ids():
    made = content(NAMES)
    for annotation in made["annotations"]:
        del annotation["id"]
    del made["images"][1]["id"]
    found, counts, _ = mend(made)
    # Which image the annotations of image 2 meant is not known: they are not given to this one.
    assert [item["id"] for item in found["images"]] == [1, 3]
    assert [item["id"] for item in found["annotations"]] == [1, 2]
    assert counts == {"id_given": 3, "unknown_image": 2}


def test_ids_beyond_64_bits_are_made_smaller():
    made = content(NAMES)
    made["images"][0]["id"] = 10**20
    made["categories"][1]["id"] = -(10**30)
    made["annotations"][0]["id"] = 2**63
    for annotation in made["annotations"]:
        if annotation["image_id"] == 1:
            annotation["image_id"] = 10**20
        if annotation["category_id"] == 2:
            annotation["category_id"] = -(10**30)
    found, counts, log = mend(made)
    assert counts == {"id_range": 3}
    assert log.ids["images"] == [[10**20, 3]]
    assert [item["id"] for item in found["images"]] == [3, 2]
    assert [item["id"] for item in found["categories"]] == [1, 2]
    keys = ("id", "image_id", "category_id")
    told = [tuple(item[key] for key in keys) for item in found["annotations"]]
    assert told == [(5, 3, 1), (2, 3, 2), (3, 2, 1), (4, 2, 2)]


def test_a_smaller_id_among_texts_becomes_a_text():
    made = content(NAMES)
    made["images"][0]["id"] = 10**20
    made["images"][1]["id"] = "second"
    for annotation in made["annotations"]:
        annotation["image_id"] = 10**20 if annotation["image_id"] == 1 else "second"
    found, counts, _ = mend(made)
    assert counts == {"id_range": 1, "id_alike": 1}
    assert [item["id"] for item in found["images"]] == ["1", "second"]
    assert [a["image_id"] for a in found["annotations"]] == ["1", "1", "second", "second"]


def test_a_file_of_corners_gets_widths_and_heights():
    made = content(NAMES)
    corners = [[20 + n, 10, 40 + n, 48] for n in range(12)]
    made["annotations"] = [
        {**made["annotations"][0], "id": n, "bbox": box, "area": box[2] * box[3]}
        for n, box in enumerate(corners)
    ]
    found, counts, _ = mend(made)
    assert counts == {"box_corners": 12}
    assert boxes(found) == [[20 + n, 10, 20, 38] for n in range(12)]
    assert {annotation["area"] for annotation in found["annotations"]} == {20 * 38}
    made["annotations"] = made["annotations"][:9]  # too few to tell
    assert "box_corners" not in mend(made)[1]


def test_a_published_set_is_never_one_of_corners():
    made = content(NAMES)
    made["annotations"] = [
        {**made["annotations"][0], "id": n, "bbox": [20, 10, 60, 48]} for n in range(12)
    ]
    log, known = MendLog(), KnownImages(Path("nowhere"), dict.fromkeys(NAMES, SOUND))
    mended_content(made, known, log, published=True)
    assert log.counts == {"box_clipped": 12}


@pytest.mark.parametrize(
    ("kept", "expected"),
    [((), [1]), ((0, 1, 2, 3), [1]), ((2, 3), [2]), ((0, 1, 2), [1]), ((0, 3), [1, 2])],
    ids=["none", "alike", "second only", "second less", "different"],
)
def test_two_entries_of_one_file(kept, expected):
    made = content(["1.png", "./1.png"])
    made["annotations"] = [a for n, a in enumerate(made["annotations"]) if n in kept]
    found, counts, _ = mend(made, facts={"1.png": SOUND, "./1.png": SOUND})
    assert [item["id"] for item in found["images"]] == expected
    assert {a["image_id"] for a in found["annotations"]} <= set(expected)
    assert counts == ({"entry_of_one_file": 1} if len(expected) == 1 else {})


def test_annotations_of_what_is_not_there():
    made = content(NAMES)
    made["annotations"][0]["image_id"] = 77
    made["annotations"][1]["category_id"] = []
    found, counts, _ = mend(made)
    assert len(found["annotations"]) == 2
    assert counts == {"unknown_image": 1, "unknown_category": 1}


def test_sizes_that_are_none_are_taken_from_the_file():
    made = content(NAMES)
    made["images"][0] |= {"height": 0, "width": None}
    made["images"][1] |= {"height": "48", "width": float("nan")}
    found, counts, _ = mend(made)
    assert found["images"] == content(NAMES)["images"]
    assert counts == {"image_size": 3, "number_as_text": 1}


def test_images_that_are_missing_or_broken_go_with_their_annotations():
    made = content(NAMES)
    found, counts, _ = mend(made, facts={"1.png": SOUND, "2.png": ImageFacts(error="cut off")})
    assert [item["id"] for item in found["images"]] == [1]
    assert counts == {"image_removed": 1, "of_removed_image": 2}
    made["images"][1]["file_name"] = 5
    assert mend(made)[1] == {"image_removed": 1, "of_removed_image": 2}
    assert mend(content(["9.png"]))[0] is None  # nothing is left


def test_class_names_and_entries_that_are_no_objects():
    made = content(NAMES)
    made["categories"][0]["name"] = "a\n  cat"
    made["categories"][1]["name"] = 7
    made["annotations"] += [None, 3]
    found, counts, _ = mend(made)
    assert [item["name"] for item in found["categories"]] == ["a cat", "7"]
    assert counts == {"not_an_object": 2, "class_name": 2}


@pytest.mark.parametrize("made", [None, [], {}, {"images": [], "categories": []}, {"images": 3}])
def test_what_cannot_be_mended(made):
    assert mend(made)[0] is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", 7),
        (" 7.5 ", 7.5),
        ("1e3", 1000),
        (".5", 0.5),
        ("1_000", None),
        ("1e999", None),
        ("nan", None),
        ("", None),
        (True, None),
        (None, None),
    ],
)
def test_numbers(value, expected):
    assert as_number(value) == expected


def test_a_mended_copy_passes_and_is_read_by_a_run(tmp_path):
    entry = write_spoilt_set(tmp_path)
    assert entry.json_file is not None
    original = entry.json_file.read_bytes()
    options = CheckOptions()
    result = check_sets([entry], options)
    assert result.num_problems > 10
    (mended,) = mend_sets(result, tmp_path / "fixed", options)
    assert entry.json_file.read_bytes() == original
    assert mended.left == ()
    assert mended.written == tmp_path / "fixed/train.json"
    again = DatasetEntry("train", mended.written, entry.image_root)
    found = check_sets([again], options)
    assert [finding.text for finding in found.findings if finding.is_problem] == []
    dataset = load_coco(again, training=True)
    assert len(dataset.records) == 4
    log = json.loads((tmp_path / "fixed/train.fixes.json").read_text())
    assert log["source"] == str(entry.json_file)
    assert log["ids"]["annotations"] == [[1, 25]]
    assert {kind: entry["count"] for kind, entry in log["mended"].items()} == mended.log.counts
    assert mended.log.counts["not_finite"] == 1
    assert json.loads(mended.written.read_text())["info"] == {"score": None}


def test_a_size_that_the_boxes_contradict_is_taken_from_the_file():
    made = content(NAMES)
    made["images"][0]["height"] = 20
    found, counts, _ = mend(made)
    assert (found, counts) == (content(NAMES), {"image_size": 1})


def test_what_has_no_obvious_mend_is_left_and_told(tmp_path):
    made = content(["1.png"])
    made["images"][0]["height"] = 60
    made["annotations"][0]["bbox"] = [4, 6, 20, 52]  # drawn on 60 rows; the file has 48
    entry = write_set(tmp_path, "train", [1], made)
    options = CheckOptions()
    (mended,) = mend_sets(check_sets([entry], options), tmp_path / "fixed", options)
    assert [finding.kind for finding in mended.left] == ["image_other_size"]
    assert mended.log.counts == {}


def test_a_file_that_cannot_be_read_is_not_mended(tmp_path):
    entry = write_set(tmp_path, "train", [1])
    assert entry.json_file is not None
    entry.json_file.write_text("[1")
    options = CheckOptions()
    (mended,) = mend_sets(check_sets([entry], options), tmp_path / "fixed", options)
    assert (mended.written, len(mended.left)) == (None, 1)
    assert not (tmp_path / "fixed").exists()


def test_nothing_is_overwritten(tmp_path):
    entry = write_set(tmp_path, "train", [1])
    options = CheckOptions()
    result = check_sets([entry], options)
    mend_sets(result, tmp_path / "fixed", options)
    with pytest.raises(UserError, match="train.json is there already, and nothing is overwritten"):
        check_fix_folder(tmp_path / "fixed", ["train"])
    with pytest.raises(UserError, match="nothing is overwritten"):
        mend_sets(result, tmp_path / "fixed", options)
    check_fix_folder(tmp_path / "fixed", ["val"])
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file; give a folder"):
        check_fix_folder(tmp_path / "file", ["val"])


def test_every_mend_has_words():
    assert all(text and text[0].islower() for text in WORDS.values())
