"""A checked data set as Detectron2 knows it. Detectron2."""

import json
import os
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.structures import BoxMode

from resnext_det.data.coco import CocoDataset, CocoRecord


def register_metadata(name: str, dataset: CocoDataset, json_file: Path) -> None:
    """Tells Detectron2 the classes and the annotation file of a test set.

    What Detectron2 may have known under that name is replaced.

    Args:
        name: the name of the test set.
        dataset: the test set.
        json_file: the annotations to score against.
    """
    if name in MetadataCatalog.list():
        MetadataCatalog.remove(name)
    MetadataCatalog.get(name).set(
        json_file=str(json_file),
        image_root=str(dataset.entry.image_root),
        evaluator_type="coco",
        thing_classes=list(dataset.class_names),
        thing_dataset_id_to_contiguous_id={
            category_id: index for index, category_id in enumerate(dataset.category_ids)
        },
    )


def write_truth(path: Path, dataset: CocoDataset) -> None:
    """Writes the checked annotations of a test set, for Detectron2's evaluator to read.

    The file that the user gave may be in an encoding, lack keys, or number its annotations in a
    way that the evaluator breaks off on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(dataset.truth))
    os.replace(partial, path)


def to_dataset_dict(record: CocoRecord) -> dict[str, Any]:
    """Returns a record as Detectron2's standard data set dict."""
    annotations = [
        {
            "bbox": [float(v) for v in box],
            "bbox_mode": BoxMode.XYXY_ABS,
            "category_id": int(label),
            "iscrowd": int(crowd),
        }
        for box, label, crowd in zip(record.boxes, record.classes, record.iscrowd, strict=True)
    ]
    return {
        "file_name": str(record.file_name),
        "image_id": record.image_id,
        "height": record.height,
        "width": record.width,
        "annotations": annotations,
    }
