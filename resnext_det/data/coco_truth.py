"""What detections are scored against: the checked content of a COCO file. Engine-neutral."""

from typing import Any

from resnext_det.data.coco_extras import Extras
from resnext_det.data.coco_keypoints import num_visible
from resnext_det.data.coco_outlines import Outline


def truth_of(content: dict[str, Any], extras: Extras) -> dict[str, Any]:
    """Returns the COCO content that any COCO library can score against.

    Annotations are numbered from 1, since pycocotools takes id 0 for "no match" and its
    fast form needs whole numbers. A missing `area`, which decides whether an object is small,
    medium or large, is width x height of its box; `num_keypoints` is counted.

    Args:
        content: a COCO file after every check of `load_coco`.
        extras: what was read of it beside boxes, and is scored, too.
    """
    keys = ("id", "file_name", "height", "width")
    return {
        "info": {},
        "images": [{key: image[key] for key in keys} for image in content["images"]],
        "annotations": [
            _annotation(number, annotation, extras)
            for number, annotation in enumerate(content["annotations"], start=1)
        ],
        "categories": [{"id": c["id"], "name": c["name"]} for c in content["categories"]],
    }


def _annotation(number: int, annotation: dict[str, Any], extras: Extras) -> dict[str, Any]:
    box = [float(value) for value in annotation["bbox"]]
    truth = {
        "id": number,
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "bbox": box,
        "area": float(annotation.get("area", box[2] * box[3])),
        "iscrowd": int(annotation.get("iscrowd", 0)),
    }
    if extras.outlines is not None:
        truth["segmentation"] = _segmentation(annotation, extras.outlines[number - 1])
    if extras.keypoints is not None:
        # COCO's scoring reads those of crowds, too, which may be without.
        keypoints = extras.keypoints[number - 1].reshape(-1).tolist()
        truth |= {"keypoints": keypoints, "num_keypoints": num_visible(keypoints)}
    return truth


def _segmentation(annotation: dict[str, Any], outline: Outline) -> Any:
    """Returns run lengths as they stand, of polygons those that are any."""
    if isinstance(outline, dict):
        return annotation["segmentation"]
    # Less than three points make no mask; the evaluators break off on them.
    return [polygon.tolist() for polygon in outline] or [[0.0] * 6]
