"""A small set of images with drawn boxes, on which training steps are timed. Engine-neutral."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import CocoDataset, load_coco
from resnext_det.data.opened_image import Pixels

NAME = "speed"
"""Of the set."""
BOXES = 10
"""In each image; of 10 to 40 % of its sides."""


def write_training_set(
    folder: Path, images: Sequence[Pixels], num_classes: int, names: Sequence[str] = ()
) -> CocoDataset:
    """Writes images with drawn boxes as a COCO set.

    Args:
        folder: takes the images and `annotations.json`.
        images: each (H, W, 3) uint8 RGB.
        num_classes: K; boxes take the classes in turn.
        names: of the classes; "class 1" … by default.
    """
    draw = np.random.default_rng(0)
    records: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, pixels in enumerate(images):
        height, width = pixels.shape[:2]
        Image.fromarray(pixels).save(folder / f"{image_id}.png")
        record = {"id": image_id, "file_name": f"{image_id}.png", "height": height, "width": width}
        records.append(record)
        corners = draw.uniform(0, 0.6, size=(BOXES, 2)) * (width, height)
        sides = draw.uniform(0.1, 0.4, size=(BOXES, 2)) * (width, height)
        for corner, side in zip(corners.tolist(), sides.tolist(), strict=True):
            number = len(annotations)
            annotation = {"id": number + 1, "image_id": image_id, "iscrowd": 0}
            annotation |= {"category_id": 1 + number % num_classes, "area": side[0] * side[1]}
            annotations.append(annotation | {"bbox": [*corner, *side]})
    names = names or [f"class {number}" for number in range(1, num_classes + 1)]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    content = {"images": records, "annotations": annotations, "categories": categories}
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    return load_coco(DatasetEntry(NAME, path, folder), training=True)
