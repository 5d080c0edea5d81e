"""All problems of an annotation file at once, and the first as one line. Engine-neutral."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from resnext_det.data.coco import load_coco
from resnext_det.data.coco_problems import Problem, ProblemKind, refuse_first
from resnext_det.data.coco_survey import survey
from resnext_det.data.needs import Needs
from resnext_det.errors import UserError
from tests.data.annotated import write_annotated

EVERYTHING = Needs(masks=True, polygons=True, keypoints=True)


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    entry = write_annotated(tmp_path)
    assert entry.json_file is not None
    return json.loads(entry.json_file.read_text())


def kinds(content: Any, needs: Needs = EVERYTHING) -> list[ProblemKind]:
    return [problem.kind for problem in survey("annotated.json", content, needs=needs)]


def test_a_sound_file_has_none(content: dict[str, Any]) -> None:
    assert kinds(content) == []


@pytest.mark.parametrize("content", [None, [], 3, {}, {"images": {}}, {"images": [4]}], ids=str)
def test_any_json_is_surveyed(content: Any) -> None:
    assert set(kinds(content)) == {ProblemKind.LAYOUT}


def test_all_are_told_and_each_once(content: dict[str, Any]) -> None:
    annotations = content["annotations"]
    content["images"][5]["height"] = 0
    annotations[0]["bbox"] = [5, 5, 0, 5]
    annotations[1]["bbox"] = "none"
    annotations[2]["image_id"] = 99
    annotations[3]["segmentation"] = [[1, 2, 3, 4]]
    annotations[4]["keypoints"] = [1]
    annotations[5]["id"] = annotations[4]["id"]
    annotations[6]["category_id"] = 99
    annotations[7]["iscrowd"] = 2
    before = copy.deepcopy(content)
    assert kinds(content) == [
        ProblemKind.LAYOUT,
        ProblemKind.REPEATED_ID,
        ProblemKind.UNKNOWN_IMAGE,
        ProblemKind.UNKNOWN_CATEGORY,
        ProblemKind.IMAGE_SIZE,
        ProblemKind.IS_CROWD,
        ProblemKind.BOX_SIZE,
        ProblemKind.POLYGON_POINTS,
        ProblemKind.KEYPOINT_VALUES,
    ]
    assert content == before


def test_each_names_its_image(content: dict[str, Any]) -> None:
    content["annotations"][2]["bbox"] = [200, 5, 3, 3]
    (problem,) = survey("annotated.json", content)
    assert problem.image_id == 1
    assert problem.where == "annotation 3 of image 1.png (id 1, 96x64)"
    assert problem.reason == "box [200, 5, 3, 3] lies wholly outside the image"


def test_loading_raises_the_first_with_the_number_of_its_kind(tmp_path: Path) -> None:
    def spoil(content: dict[str, Any]) -> None:
        for annotation in content["annotations"][:3]:
            annotation["iscrowd"] = 7

    with pytest.raises(UserError) as error:
        load_coco(write_annotated(tmp_path, spoil), training=True)
    assert str(error.value).endswith(
        "annotated.json: annotation 1: iscrowd is 7; 3 such in the file; it must be 0 or 1"
    )


def test_lines_are_joined_as_sentences() -> None:
    kind, path = ProblemKind.AREA, Path("a.json")
    assert Problem(kind, "", "no use").line(path) == "a.json: no use"
    assert Problem(kind, "x", "is y", "do z").line(path) == "a.json: x is y; do z"
    assert Problem(kind, "x", "y", "Do z").line(path, 2) == "a.json: x: y; 2 such in the file. Do z"
    boxes = [Problem(k, "x", "y") for k in (ProblemKind.BOX_SIZE, ProblemKind.BOX_OUTSIDE, kind)]
    with pytest.raises(UserError, match=r"^a.json: x: y; 2 unusable box\(es\) in the file$"):
        refuse_first(path, boxes)
    refuse_first(path, [])
