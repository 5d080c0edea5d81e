"""Pictures of what a detector finds, beside the ground truth. Engine-neutral."""

from collections.abc import Sequence

import numpy as np
from torch import nn

from resnext_det.data.coco import CocoDataset, CocoRecord
from resnext_det.data.image_files import open_rgb
from resnext_det.engines.base import DetectionRun, Engine
from resnext_det.evaluation.drawing import FOUND_COLOR, TRUTH_COLOR, NamedBox, draw_boxes
from resnext_det.structures import Detections
from resnext_det.training.acceleration import uncompiled

SCORE_THRESH = 0.5  # boxes scored below it are not drawn


def prediction_pictures(
    engine: Engine, model: nn.Module, run: DetectionRun
) -> dict[str, np.ndarray]:
    """Draws TEST.PICTURES images of each test set, the same ones at each evaluation.

    Args:
        engine: finds the boxes.
        model: on its device, not wrapped.
        run: the config and the test sets.

    Returns:
        Pictures by name, (H, W, 3) uint8 RGB: the ground truth on the left, what is found
        with a score of at least 0.5 on the right. There is none of a broken image.
    """
    pictures = {}
    for name, dataset in run.tests.items():
        records = _spread(dataset, run.cfg.TEST.PICTURES)
        with uncompiled(run.cfg):
            found = engine.detect(model, run, records)
        for place, (record, detections) in enumerate(zip(records, found, strict=True)):
            if record.file_name not in run.set_aside:
                picture = _side_by_side(record, detections, dataset.class_names)
                pictures[f"{run.metric_prefix(name)}predictions/{place}"] = picture
    return pictures


def _spread(dataset: CocoDataset, count: int) -> list[CocoRecord]:
    """Evenly spaced images, with objects where there are such."""
    records = [record for record in dataset.records if record.usable] or list(dataset.records)
    count = min(count, len(records))
    return [records[place * len(records) // count] for place in range(count)]


def _side_by_side(
    record: CocoRecord, detections: Detections, class_names: tuple[str, ...]
) -> np.ndarray:
    image = open_rgb(record.file_name)
    truth = [
        _named(box, class_names[label])
        for box, label in zip(record.boxes.tolist(), record.classes.tolist(), strict=True)
    ]
    kept = detections.scores >= SCORE_THRESH
    boxes, labels = detections.boxes[kept].tolist(), detections.classes[kept].tolist()
    found = [
        _named(box, f"{class_names[label]} {100 * score:.0f}%")
        for box, label, score in zip(boxes, labels, detections.scores[kept].tolist(), strict=True)
    ]
    halves = [draw_boxes(image, truth, TRUTH_COLOR), draw_boxes(image, found, FOUND_COLOR)]
    return np.concatenate([np.asarray(half) for half in halves], axis=1)


def _named(box: Sequence[float], text: str) -> NamedBox:
    x0, y0, x1, y1 = box
    return NamedBox((x0, y0, x1 - x0, y1 - y0), text)
