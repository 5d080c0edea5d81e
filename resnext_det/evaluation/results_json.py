"""Detections as COCO results, and the file they are kept in. Engine-neutral."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnext_det.errors import UserError
from resnext_det.json_files import read_json
from resnext_det.whole_files import write_text_safe

if TYPE_CHECKING:  # who reads results needs no torch, which takes seconds to import
    from resnext_det.structures import Detections

# Below the output directory; Detectron2's COCOEvaluator writes the same file.
RESULTS_FILE = Path("inference") / "coco_instances_results.json"


def detections_to_coco(
    detections: "Detections", image_id: int | str, category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Turns one image's boxes into COCO result records.

    Width and height are taken in float32, as Detectron2 does, so that both
    engines write the same digits.

    Args:
        detections: boxes (R, 4) xyxy in pixels of the image on disk, scores, classes.
        image_id: the image's id in the annotation file.
        category_ids: the annotation file's id for each class 0 … K-1.

    Returns:
        R records with image_id, category_id, bbox (x, y, w, h) and score, best first.
    """
    boxes = detections.boxes.detach().cpu().float().clone()
    boxes[:, 2:] -= boxes[:, :2]  # (R, 4) xyxy -> xywh
    rows = zip(boxes.tolist(), detections.scores.tolist(), detections.classes.tolist(), strict=True)
    return [
        {"image_id": image_id, "category_id": category_ids[label], "bbox": box, "score": score}
        for box, score, label in rows
    ]


def write_results(path: Path, records: list[dict[str, Any]]) -> None:
    """Writes COCO result records so that an interrupt leaves the old file or the new one.

    Args:
        path: the file, usually the output directory / RESULTS_FILE; parents are made.
        records: from `detections_to_coco`, all images together; may be empty.
    """
    write_text_safe(path, json.dumps(records))


def read_results(path: Path) -> list[dict[str, Any]]:
    """Reads COCO result records.

    Raises:
        UserError: the file is missing, is not JSON, or does not hold a list of records.
    """
    if not path.exists():
        raise UserError(f"{path}: no such results file")
    try:
        records = read_json(path)
    except UserError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise UserError(f"{path}: cannot be read as COCO results JSON ({reason})") from None
    if not isinstance(records, list):
        raise UserError(
            f"{path}: COCO results are a list of records, this is a {type(records).__name__}"
        )
    return records
