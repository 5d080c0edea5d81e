"""What detections are scored against: the checked content of a COCO file. Engine-neutral."""

from typing import Any


def truth_of(content: dict[str, Any]) -> dict[str, Any]:
    """Returns the COCO content that any COCO library can score against.

    Annotations are numbered from 1, since pycocotools takes id 0 for "no match" and its
    fast form needs whole numbers. A missing `area`, which decides whether an object is small,
    medium or large, is width x height of its box.

    Args:
        content: a COCO file after every check of `load_coco`.
    """
    keys = ("id", "file_name", "height", "width")
    return {
        "info": {},
        "images": [{key: image[key] for key in keys} for image in content["images"]],
        "annotations": [
            _annotation(number, annotation)
            for number, annotation in enumerate(content["annotations"], start=1)
        ],
        "categories": [{"id": c["id"], "name": c["name"]} for c in content["categories"]],
    }


def _annotation(number: int, annotation: dict[str, Any]) -> dict[str, Any]:
    box = [float(value) for value in annotation["bbox"]]
    return {
        "id": number,
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "bbox": box,
        "area": float(annotation.get("area", box[2] * box[3])),
        "iscrowd": int(annotation.get("iscrowd", 0)),
    }
