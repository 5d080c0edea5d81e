"""What the loader accepts, both engines can score; what they cannot use is refused first."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from resnext_det.engines.base import Engine
from resnext_det.engines.detection import evaluate_detector, train_detector
from resnext_det.errors import UserError
from tests.engines.conftest import Bench

Content = dict[str, Any]
OVERALL = ("AP", "AP50", "AP75", "APs", "APm", "APl")


@pytest.fixture
def score(engine: Engine, bench: Bench) -> Callable[[str], dict[str, Any]]:
    """Evaluates one newly initialised detector on the annotation file as it is by then."""
    torch.manual_seed(0)
    job = bench.job("x", "MODEL.ROI_HEADS.NUM_CLASSES", 2)
    weights = bench.folder / "weights.pth"
    weights.parent.mkdir()
    torch.save({"model": engine.build_model(job.loaded.cfg).state_dict()}, weights)

    def run(name: str, *overrides: object) -> dict[str, Any]:
        options = ("MODEL.WEIGHTS", weights, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0)
        evaluate_detector(engine, bench.job(name, *options, *overrides))
        folder = bench.folder / name / "inference"
        assert json.loads((folder / "coco_instances_results.json").read_text())
        return json.loads((folder / "result.json").read_text())["metrics"]

    return run


def without_area(content: Content) -> None:
    for annotation in content["annotations"]:
        del annotation["area"]


def with_text_ids(content: Content) -> None:
    for annotation in content["annotations"]:
        annotation["id"] = f"box {annotation['id']}"


def with_text_image_ids(content: Content) -> None:
    for item in content["images"]:
        item["id"] = f"image {item['id']}"
    for item in content["annotations"]:
        item["image_id"] = f"image {item['image_id']}"


def without_extra_keys(content: Content) -> None:
    for annotation in content["annotations"]:
        del annotation["iscrowd"]


@pytest.mark.parametrize(
    "change", [without_area, with_text_ids, with_text_image_ids, without_extra_keys]
)
def test_content_that_means_the_same_scores_the_same(
    change: Callable[[Content], None], score: Callable[..., Content], bench: Bench
) -> None:
    """The areas in the file are width x height, so leaving them out changes nothing."""
    before = score("before")
    _edit(bench, change)
    assert score("after") == before
    assert before["AP50"] is not None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings_score_the_same(
    encoding: str, score: Callable[..., Content], bench: Bench
) -> None:
    before = score("before")
    path = _path(bench)
    path.write_bytes(path.read_text().encode(encoding))
    assert score("after") == before


@pytest.mark.parametrize("how", ["key left out", "empty list"])
def test_set_without_annotations_is_predicted_on_and_not_scored(
    how: str, score: Callable[..., Content], bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def strip(content: Content) -> None:
        content["annotations"] = []
        if how == "key left out":
            del content["annotations"]

    _edit(bench, strip)
    with caplog.at_level("WARNING"):
        metrics = score("run")
    assert metrics == dict.fromkeys([*OVERALL, "AP-red", "AP-green"])
    said = [line for line in caplog.messages if "no annotations, so nothing is scored" in line]
    assert len(said) == 1
    assert "shapes.json" in said[0]


def test_classes_of_one_name_keep_an_ap_each(score: Callable[..., Content], bench: Bench) -> None:
    before = score("before")

    def rename(content: Content) -> None:
        content["categories"][1]["name"] = "red"

    _edit(bench, rename)
    metrics = score("after")
    assert list(metrics) == [*OVERALL, "AP-red (id 3)", "AP-red (id 8)"]
    assert list(metrics.values()) == list(before.values())


def test_results_name_images_as_the_file_does(score: Callable[..., Content], bench: Bench) -> None:
    _edit(bench, with_text_image_ids)
    score("run")
    found = bench.folder / "run" / "inference" / "coco_instances_results.json"
    assert {row["image_id"] for row in json.loads(found.read_text())} <= {
        f"image {number}" for number in range(6)
    }


def test_test_set_that_cannot_be_scored_is_refused_before_training(
    engine: Engine, bench: Bench
) -> None:
    other = _second_set(bench, area=None)
    with pytest.raises(UserError, match=r"test\.json: annotation 1: area is None"):
        train_detector(engine, other)
    assert not (bench.folder / "run").exists()


def _second_set(bench: Bench, **changes: object) -> Any:
    """Returns a job whose test set is its own file, with one image more."""
    content = json.loads(_path(bench).read_text())
    content["annotations"][0].update(changes)
    content["images"].append({**content["images"][0], "id": 77, "file_name": "t.png"})
    image = bench.entry.image_root / "0.png"
    (bench.entry.image_root / "t.png").write_bytes(image.read_bytes())
    path = _path(bench).with_name("test.json")
    path.write_text(json.dumps(content))
    job = bench.job("run", "DATASETS.TEST", "['test']")
    entry = replace(bench.entry, name="test", json_file=path)
    return replace(job, datasets={**job.datasets, "test": entry})


def _path(bench: Bench) -> Path:
    assert bench.entry.json_file is not None
    return bench.entry.json_file


def _edit(bench: Bench, change: Callable[[Content], None]) -> None:
    content = json.loads(_path(bench).read_text())
    change(content)
    _path(bench).write_text(json.dumps(content))
