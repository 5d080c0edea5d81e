"""Masks and keypoints of COCO files: what is read, what is refused. Engine-neutral."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as pycocotools_mask

from resnext_det.config import get_cfg
from resnext_det.data.coco import CocoDataset, check_same_classes, load_coco
from resnext_det.data.needs import BOXES, Needs, needs_of
from resnext_det.errors import UserError
from tests.data.annotated import HEIGHT, KEYPOINTS, WIDTH, Content, write_annotated

MASKS = Needs(masks=True)
POLYGONS = Needs(masks=True, polygons=True)
POINTS = Needs(keypoints=True)


def load(folder: Path, needs: Needs, change: Any = lambda _: None, **options: bool) -> CocoDataset:
    entry = write_annotated(folder, change)
    return load_coco(entry, needs=needs, **{"training": True, **options})


def complaint(
    folder: Path, needs: Needs, change: Callable[[Content], None], **options: bool
) -> str:
    with pytest.raises(UserError) as error:
        load(folder, needs, change, **options)
    message = str(error.value)
    assert "\n" not in message
    assert "annotated.json: " in message
    return message


def of_third(**values: object) -> Callable[[Content], None]:
    """Changes keys of the annotation with id 3; a value of None removes the key."""

    def change(content: Content) -> None:
        annotation = content["annotations"][2]
        annotation.update(values)
        for key in [key for key, value in values.items() if value is None]:
            del annotation[key]

    return change


def without(key: str, *, crowd_too: bool = True) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for annotation in content["annotations"]:
            if crowd_too or not annotation["iscrowd"]:
                annotation.pop(key, None)

    return change


def test_needs_follow_the_config() -> None:
    cfg = get_cfg()
    assert needs_of(cfg) == BOXES
    cfg.MODEL.MASK_ON = cfg.MODEL.KEYPOINT_ON = True
    assert needs_of(cfg) == Needs(masks=True, polygons=True, keypoints=True)
    cfg.INPUT.MASK_FORMAT = "bitmask"
    assert needs_of(cfg) == Needs(masks=True, keypoints=True)
    cfg.MODEL.META_ARCHITECTURE = "PanopticFPN"
    assert needs_of(cfg) == Needs(masks=True, keypoints=True, stuff=True)
    for name, needs in {
        "RetinaNet": BOXES,
        "ProposalNetwork": BOXES,
        "SemanticSegmentor": Needs(stuff=True, objects=False),
    }.items():
        cfg.MODEL.META_ARCHITECTURE = name
        assert needs_of(cfg) == needs


def test_nothing_is_read_that_no_detector_needs(tmp_path: Path) -> None:
    record = load(tmp_path, BOXES).records[0]
    assert (record.outlines, record.keypoints, record.label_file) == (None, None, None)
    truth = load(tmp_path / "test", BOXES, training=False).truth
    assert truth is not None
    assert not {"segmentation", "keypoints"} & set(truth["annotations"][0])


def test_polygons_and_run_lengths_are_read(tmp_path: Path) -> None:
    first = load(tmp_path, POLYGONS).records[0]
    assert first.outlines is not None
    x0, y0, x1, y1 = first.boxes[0].tolist()
    assert isinstance(first.outlines[0], tuple)
    np.testing.assert_array_equal(first.outlines[0][0], [x0, y0, x1, y0, x1, y1, x0, y1])
    assert first.iscrowd.tolist() == [False, False, True]
    crowd: Any = pycocotools_mask.decode(first.outlines[2])  # pyright: ignore
    assert crowd[:, :10].all()
    assert not crowd[:, 10:].any()


def test_truth_holds_masks_and_keypoints_as_they_stand(tmp_path: Path) -> None:
    def packed(content: Content) -> None:
        content["annotations"][2]["segmentation"] = _packed(_rectangle())
        del content["annotations"][2]["num_keypoints"]

    dataset = load(tmp_path, Needs(masks=True, keypoints=True), packed, training=False)
    assert dataset.truth is not None
    annotations = dataset.truth["annotations"]
    assert annotations[2]["segmentation"] == _packed(_rectangle())
    assert annotations[-1]["segmentation"]["counts"] == [0, 10 * HEIGHT, (WIDTH - 10) * HEIGHT]
    assert len(annotations[0]["segmentation"][0]) == 8
    assert [a["num_keypoints"] for a in annotations] == [4] * 12 + [0]
    assert annotations[-1]["keypoints"] == [0.0] * 15


def test_a_set_without_masks_is_refused(tmp_path: Path) -> None:
    message = complaint(tmp_path, MASKS, without("segmentation"))
    assert "none of the 12 annotations has a 'segmentation', which MODEL.MASK_ON True" in message
    assert "set MODEL.MASK_ON False" in message


def test_an_object_without_a_mask_is_named(tmp_path: Path) -> None:
    for number, value in enumerate((None, [])):
        change = of_third(segmentation=value)
        message = complaint(tmp_path / str(number), MASKS, change)
        assert "annotation 3 has no 'segmentation'" in message
        assert "1 such annotation(s)" in message


def test_a_crowd_needs_a_mask_where_it_is_scored(tmp_path: Path) -> None:
    def change(content: Content) -> None:
        del content["annotations"][-1]["segmentation"]

    assert load(tmp_path / "a", MASKS, change).records[0].outlines[2] == ()  # pyright: ignore
    assert "annotation 13 has no" in complaint(tmp_path / "b", MASKS, change, training=False)


@pytest.mark.parametrize(
    ("polygon", "reason"),
    [
        ([1, 2, 3, 4], "has 4 values, but one has x and y of at least three points"),
        ([1, 2, 3, 4, 5, 6, 7], "has 7 values"),
        ([1, 2, 3, 4, 5, None], "has a value that is no finite number"),
        ([1, 2, 3, 4, 5, "6"], "has a value that is no finite number"),
        ([[1, 2], [3, 4], [5, 6], [7, 8], [9, 9], [9, 1]], "has a value that is no finite"),
        ([1, 2, 3, 4, [5], [6, 7]], "has a value that is no finite number"),
        ([1, 2, 3, 4, 5, float("nan")], "has a value that is no finite number"),
        ([1, 2, 3, 4, 5, 10**400], "has a value that is no finite number"),
        ([0, 0, 193, 0, 9, 9], "is more than 96 px outside its image of 96x64; mend the file"),
        ([0, 0, 96, 64] * 600, "is 115200 px long, too long to draw; mend the file"),
        ([0, 0, 0, -97, 9, 9], "is more than 96 px outside its image of 96x64; mend the file"),
    ],
)
def test_polygons_that_are_none_are_named(tmp_path: Path, polygon: list[Any], reason: str) -> None:
    good = [1, 2, 30, 4, 5, 60]
    change = of_third(segmentation=[good, polygon])
    message = complaint(tmp_path, POLYGONS, change)
    assert f"annotation 3: polygon 1 of its segmentation {reason}" in message


def test_polygons_that_are_none_can_be_left_out(tmp_path: Path) -> None:
    def change(content: Content) -> None:
        content["annotations"][2]["segmentation"] = [[1, 2, 30, 4, 5, 60], [1, 2, 3, 4]]
        content["annotations"][3]["segmentation"] = [[1, 2]]

    assert "annotation 3" in complaint(tmp_path / "a", MASKS, change)
    options = {"drop_bad_boxes": True, "training": False}
    dataset = load(tmp_path / "b", MASKS, change, **options)
    assert [len(r.outlines) for r in dataset.records[:3]] == [3, 1, 2]  # pyright: ignore
    assert dataset.truth is not None
    second = [a for a in dataset.truth["annotations"] if a["image_id"] == 1]
    assert second[0]["segmentation"] == [[1, 2, 30, 4, 5, 60]]
    # It still has to be found, and is no mask that pycocotools breaks off on.
    drawn = pycocotools_mask.frPyObjects(second[1]["segmentation"], HEIGHT, WIDTH)
    assert pycocotools_mask.area(drawn).tolist() == [0]


def test_polygon_format_refuses_run_lengths_of_objects(tmp_path: Path) -> None:
    change = of_third(segmentation=_packed(_rectangle()))
    message = complaint(tmp_path / "a", POLYGONS, change)
    assert "annotation 3 has a run-length mask" in message
    assert "set INPUT.MASK_FORMAT bitmask" in message
    assert load(tmp_path / "b", MASKS, change).records[1].outlines[0] == {  # pyright: ignore
        "size": [HEIGHT, WIDTH],
        "counts": _packed(_rectangle())["counts"].encode(),
    }
    assert load(tmp_path / "c", POLYGONS, change, training=False).truth


BROKEN = {
    "size": ({"size": [WIDTH, HEIGHT], "counts": [WIDTH * HEIGHT]}, r"has the size \[96, 64\]"),
    "no size": ({"counts": [WIDTH * HEIGHT]}, "has the size None"),
    "no counts": ({"size": [HEIGHT, WIDTH]}, "'counts' that are neither"),
    "fractions": ({"size": [HEIGHT, WIDTH], "counts": [0.5, 1]}, "'counts' that are neither"),
    "too short": ({"size": [HEIGHT, WIDTH], "counts": [5, 6]}, "runs that do not fill the 6144"),
    "negative": (
        {"size": [HEIGHT, WIDTH], "counts": [WIDTH * HEIGHT + 5, -5]},
        "runs that do not fill",
    ),
    "huge": ({"size": [HEIGHT, WIDTH], "counts": [10**30]}, "runs that do not fill"),
    "empty text": ({"size": [HEIGHT, WIDTH], "counts": ""}, "'counts' that are neither"),
    "other text": ({"size": [HEIGHT, WIDTH], "counts": "räder"}, "'counts' that are neither"),
    "cut text": ({"size": [HEIGHT, WIDTH], "counts": "Po"}, "'counts' that are neither"),
    "endless text": ({"size": [HEIGHT, WIDTH], "counts": "o" * 20 + "0"}, "'counts' that are"),
    "foreign text": ({"size": [HEIGHT, WIDTH], "counts": "1234"}, "runs that do not fill"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_run_lengths_are_named(tmp_path: Path, case: str) -> None:
    mask, reason = BROKEN[case]
    with pytest.raises(UserError, match=rf"annotation 3: its run-length segmentation.*{reason}"):
        load(tmp_path, MASKS, of_third(segmentation=mask))


def test_packed_run_lengths_of_any_mask_pass(tmp_path: Path) -> None:
    random = np.random.RandomState(0)
    for number in range(20):
        drawn = random.rand(HEIGHT, WIDTH) < random.rand() ** 3
        drawn[random.randint(HEIGHT) :] = number % 2
        load(tmp_path / str(number), MASKS, of_third(segmentation=_packed(drawn)))


def test_keypoints_and_their_names_are_read(tmp_path: Path) -> None:
    dataset = load(tmp_path, POINTS)
    assert dataset.keypoints is not None
    assert dataset.keypoints.names == tuple(KEYPOINTS)
    assert dataset.keypoints.mirrored == (
        ("left_top", "right_top"),
        ("left_bottom", "right_bottom"),
    )
    first = dataset.records[0]
    assert first.keypoints is not None
    assert first.keypoints.shape == (3, 5, 3)
    assert first.keypoints[0, 0].tolist() == [*first.boxes[0, :2].tolist(), 2]
    assert first.num_visible_keypoints == 8


def test_names_without_sides_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def rename(content: Content) -> None:
        for category in content["categories"]:
            category["keypoints"] = ["left_eye", "b", "c", "d", "e"]

    with caplog.at_level("WARNING"):
        load(tmp_path / "a", POINTS)
        assert not caplog.messages
        dataset = load(tmp_path / "b", POINTS, rename)
    assert dataset.keypoints is not None
    assert dataset.keypoints.mirrored == ()
    (message,) = caplog.messages
    assert "annotated.json: no two keypoint names differ in left and right alone" in message


def test_a_set_without_keypoints_is_refused(tmp_path: Path) -> None:
    def nameless(content: Content) -> None:
        del content["categories"][1]["keypoints"]

    message = complaint(tmp_path / "a", POINTS, nameless)
    assert "category 'green' (id 8) has no list 'keypoints'" in message
    assert "set MODEL.KEYPOINT_ON False" in message
    message = complaint(tmp_path / "b", POINTS, without("keypoints"))
    assert "none of the 12 annotations has 'keypoints'" in message
    message = complaint(tmp_path / "c", POINTS, of_third(keypoints=None))
    assert "annotation 3 has no 'keypoints'" in message
    assert "give it zeros where none is labelled" in message


def test_categories_have_the_same_keypoints(tmp_path: Path) -> None:
    def fewer(content: Content) -> None:
        content["categories"][1]["keypoints"] = ["nose"]

    message = complaint(tmp_path / "a", POINTS, fewer)
    assert "'green' (id 8) has 1 keypoints (nose), but 'red' (id 3) has 5" in message

    def twice(content: Content) -> None:
        content["categories"][0]["keypoints"] = ["nose", "eye", "nose"]

    assert "has the keypoint 'nose' twice" in complaint(tmp_path / "b", POINTS, twice)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([1, 2, 2] * 4, "has 12 values, but 5 keypoints have 15"),
        ("1 2 2", "has '1 2 2', but"),
        ([1, 2, 2] * 4 + [1, "2", 2], "has a value that is no finite number"),
        ([1, 2, 2] * 4 + [1, float("inf"), 2], "has a value that is no finite number"),
        ([1, 2, 2] * 4 + [1, 10**400, 2], "has a value that is no finite number"),
        ([True] * 15, "has a value that is no finite number"),
        ([1, 2, 2] * 4 + [1, 2, 3], "has the visibility 3; it is 0, 1 or 2"),
    ],
)
def test_keypoints_that_are_none_are_named(tmp_path: Path, row: Any, reason: str) -> None:
    message = complaint(tmp_path, POINTS, of_third(keypoints=row))
    assert f"annotation 3: 'keypoints' {reason}" in message


def test_points_may_be_a_little_outside(tmp_path: Path) -> None:
    near = of_third(segmentation=[[-96, 0, 192, 0, 9, 9]], keypoints=[-96, 192, 2] * 5)
    assert load(tmp_path, Needs(masks=True, keypoints=True), near).records[1].outlines


@pytest.mark.parametrize("point", [(1e12, 2), (3, -97)])
def test_labelled_keypoints_far_outside_are_named(
    tmp_path: Path, point: tuple[float, float]
) -> None:
    rest = [1, 2, 2] * 4
    message = complaint(tmp_path / "a", POINTS, of_third(keypoints=[*rest, *point, 2]))
    expected = "annotation 3: a labelled keypoint is more than 96 px outside its image of 96x64"
    assert expected in message
    load(tmp_path / "b", POINTS, of_third(keypoints=[*rest, *point, 0]))


def test_a_training_set_has_a_labelled_keypoint(tmp_path: Path) -> None:
    def unlabelled(content: Content) -> None:
        for annotation in content["annotations"]:
            annotation["keypoints"] = [0] * 15

    assert "no keypoint is labelled" in complaint(tmp_path / "a", POINTS, unlabelled)
    assert load(tmp_path / "b", POINTS, unlabelled, training=False).truth


def test_sets_agree_in_their_keypoints(tmp_path: Path) -> None:
    one = load(tmp_path, POINTS)
    assert one.keypoints is not None
    other = replace(one, keypoints=replace(one.keypoints, names=("left_top", "nose")))
    with pytest.raises(UserError, match="same keypoints: number 2 is 'right_top' in the first and"):
        check_same_classes(one, other)


def _rectangle() -> np.ndarray:
    drawn = np.zeros((HEIGHT, WIDTH), bool)
    drawn[5:20, 30:40] = True
    return drawn


def _packed(drawn: np.ndarray) -> dict[str, Any]:
    mask = pycocotools_mask.encode(np.asfortranarray(drawn, dtype=np.uint8))
    return {"size": list(mask["size"]), "counts": bytes(mask["counts"]).decode()}  # pyright: ignore
