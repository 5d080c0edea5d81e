"""A checked data set as Detectron2 knows it. Detectron2."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode

from resnext_det.data.coco import CocoDataset, CocoRecord
from resnext_det.data.panoptic import IGNORED, Stuff
from resnext_det.data.proposals import read_rows
from resnext_det.whole_files import write_text_safe


def register_metadata(name: str, dataset: CocoDataset, json_file: Path) -> None:
    """Tells Detectron2 the classes and the annotation file of a set.

    What Detectron2 may have known under that name is replaced.

    Args:
        name: the name of the set.
        dataset: the set.
        json_file: the annotations; of a test set, those to score against.
    """
    for catalog in (MetadataCatalog, DatasetCatalog):
        if name in catalog.list():
            catalog.remove(name)
    metadata = {
        "json_file": str(json_file),
        "image_root": str(dataset.entry.image_root),
        "evaluator_type": "coco",
        "thing_classes": list(dataset.class_names),
        "thing_dataset_id_to_contiguous_id": {
            category_id: index for index, category_id in enumerate(dataset.category_ids)
        },
    }
    if dataset.keypoints is not None:
        metadata |= {
            "keypoint_names": list(dataset.keypoints.names),
            "keypoint_flip_map": list(dataset.keypoints.mirrored),
        }
    if dataset.stuff is not None:
        metadata |= _stuff_metadata(dataset.stuff)
        DatasetCatalog.register(name, lambda: [_files(record) for record in dataset.records])
    MetadataCatalog.get(name).set(**metadata)


def _stuff_metadata(stuff: Stuff) -> dict[str, Any]:
    """Returns what Detectron2's panoptic evaluators read; label 0 stands for every thing."""
    return {
        "evaluator_type": "coco_panoptic_seg",
        "panoptic_json": str(stuff.files.json_file),
        "panoptic_root": str(stuff.files.panoptic_root),
        "sem_seg_root": str(stuff.files.stuff_root),
        "ignore_label": IGNORED,
        "stuff_classes": ["things", *stuff.names],
        "stuff_dataset_id_to_contiguous_id": {
            0: 0,
            **{category_id: label for label, category_id in enumerate(stuff.category_ids, start=1)},
        },
    }


def _files(record: CocoRecord) -> dict[str, Any]:
    return {"file_name": record.file_name, "sem_seg_file_name": record.label_file}


def write_truth(path: Path, dataset: CocoDataset) -> None:
    """Writes the checked annotations of a test set, for Detectron2's evaluator to read.

    The file that the user gave may be in an encoding, lack keys, or number its annotations in a
    way that the evaluator breaks off on.
    """
    write_text_safe(path, json.dumps(dataset.truth))


def to_dataset_dict(record: CocoRecord) -> dict[str, Any]:
    """Returns a record as Detectron2's standard data set dict.

    Raises:
        UserError: its stored proposals cannot be read.
    """
    content = {
        "file_name": str(record.file_name),
        "image_id": record.image_id,
        "height": record.height,
        "width": record.width,
        "annotations": [_annotation(record, row) for row in range(len(record.boxes))],
    }
    if record.label_file is not None:
        content["sem_seg_file_name"] = record.label_file
    if record.proposals is not None:
        boxes, logits = read_rows(record.proposals)
        content |= {
            "proposal_boxes": boxes,
            "proposal_objectness_logits": logits,
            "proposal_bbox_mode": BoxMode.XYXY_ABS,
        }
    return content


def _annotation(record: CocoRecord, row: int) -> dict[str, Any]:
    annotation: dict[str, Any] = {
        "bbox": [float(v) for v in record.boxes[row]],
        "bbox_mode": BoxMode.XYXY_ABS,
        "category_id": int(record.classes[row]),
        "iscrowd": int(record.iscrowd[row]),
    }
    if record.outlines is not None and not record.iscrowd[row]:
        outline = record.outlines[row]
        annotation["segmentation"] = outline if isinstance(outline, dict) else list(outline)
    if record.keypoints is not None:
        # A file's keypoints count pixels; Detectron2's are at the pixels' middles.
        shifted = record.keypoints[row] + np.array([0.5, 0.5, 0.0])
        annotation["keypoints"] = shifted.reshape(-1).tolist()
    return annotation
