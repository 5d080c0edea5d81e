"""Random COCO sets, scored."""

from pathlib import Path
from typing import Any

from resnext_det.analysis.scored_boxes import ScoredBoxes, score_boxes
from resnext_det.evaluation.box_arrays import read_rows, read_truth
from tests.evaluation.conftest import write_vector

CASES: dict[str, dict[str, Any]] = {
    "plain": {"num_images": 20},
    "crowds": {"num_images": 20, "crowd_share": 0.3},
    "ties": {"num_images": 20, "tied_scores": True},
    "few objects of many classes": {"num_classes": 12, "num_images": 6, "max_boxes": 3},
    "more than 100 detections": {"max_detections": 300, "num_images": 3, "num_classes": 2},
    "no detections": {"max_detections": 0},
    "no objects": {"max_boxes": 0},
}


def scored(folder: Path, **settings: Any) -> tuple[ScoredBoxes, Path, Path]:
    """Returns a set, and its gt.json and dt.json."""
    gt, dt = write_vector(folder, **settings)
    truth = read_truth(gt)
    return score_boxes(truth, read_rows(dt, truth)), gt, dt
