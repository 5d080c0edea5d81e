"""Detections to COCO records and back from the file."""

from pathlib import Path

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.evaluation.results_json import (
    RESULTS_FILE,
    detections_to_coco,
    read_results,
    write_results,
)
from resnext_det.structures import Detections


def test_boxes_become_xywh_and_classes_the_files_ids() -> None:
    boxes = torch.tensor([[10.0, 20.0, 40.0, 80.0], [0.0, 0.0, 1.5, 2.5]])
    detections = Detections(boxes, torch.tensor([0.75, 0.5]), torch.tensor([1, 0]))
    assert detections_to_coco(detections, 42, category_ids=[7, 90]) == [
        {"image_id": 42, "category_id": 90, "bbox": [10.0, 20.0, 30.0, 60.0], "score": 0.75},
        {"image_id": 42, "category_id": 7, "bbox": [0.0, 0.0, 1.5, 2.5], "score": 0.5},
    ]
    assert detections.boxes[0].tolist() == [10.0, 20.0, 40.0, 80.0]  # the input is left alone


def test_an_image_without_a_box_gives_no_record() -> None:
    assert detections_to_coco(Detections.empty(), 1, category_ids=[1]) == []


@pytest.mark.parametrize("count", [0, 2])
def test_round_trip_through_the_file(count: int, tmp_path: Path) -> None:
    records = [
        {"image_id": 1, "category_id": 1, "bbox": [0.1, 0.2, 3.0, 4.0], "score": 0.5}
    ] * count
    path = tmp_path / RESULTS_FILE
    write_results(path, records)
    write_results(path, records)  # a second evaluation replaces the first
    assert read_results(path) == records
    assert [p.name for p in path.parent.iterdir()] == ["coco_instances_results.json"]


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.json: no such results file"):
        read_results(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"b\.json: cannot be read as COCO results JSON"):
        read_results(tmp_path / "b.json")
