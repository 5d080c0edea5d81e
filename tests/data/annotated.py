"""A tiny set with boxes, masks, keypoints, a crowd and stuff. Engine-neutral."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from resnext_det.data.catalog import DatasetEntry, PanopticFiles

NUM_IMAGES, WIDTH, HEIGHT = 6, 96, 64
KEYPOINTS = ["left_top", "right_top", "left_bottom", "right_bottom", "middle"]
CATEGORIES = [
    {"id": 3, "name": "red", "keypoints": KEYPOINTS, "skeleton": [[1, 2]]},
    {"id": 8, "name": "green", "keypoints": KEYPOINTS, "skeleton": [[1, 2]]},
]
STUFF = [{"id": 20, "name": "sky", "isthing": 0}, {"id": 12, "name": "ground", "isthing": 0}]
HORIZON = 40
"""Row below which the background is ground."""

Content = dict[str, Any]


def write_annotated(
    folder: Path, change: Callable[[Content], None] = lambda _: None
) -> DatasetEntry:
    """Writes the set, its instances file changed as asked; every image has one of each class."""
    random = np.random.RandomState(0)
    for name in ("images", "panoptic", "stuff"):
        (folder / name).mkdir(parents=True)
    content: Content = {
        "images": [],
        "annotations": [],
        "categories": [dict(c) for c in CATEGORIES],
    }
    segments = []
    for image_id in range(NUM_IMAGES):
        content["images"].append(
            {"id": image_id, "file_name": f"{image_id}.png", "height": HEIGHT, "width": WIDTH}
        )
        segments.append(_write_image(folder, image_id, random, content["annotations"]))
    content["annotations"].append(_crowd(len(content["annotations"]) + 1))
    change(content)
    things = [{"id": c["id"], "name": c["name"], "isthing": 1} for c in CATEGORIES]
    panoptic = {
        "images": content["images"],
        "annotations": segments,
        "categories": [*STUFF, *things],
    }
    (folder / "annotated.json").write_text(json.dumps(content))
    (folder / "panoptic.json").write_text(json.dumps(panoptic))
    files = PanopticFiles(folder / "panoptic.json", folder / "panoptic", folder / "stuff")
    return DatasetEntry("annotated", folder / "annotated.json", folder / "images", panoptic=files)


def _write_image(
    folder: Path, image_id: int, random: np.random.RandomState, annotations: list[Content]
) -> Content:
    """Draws two rectangles and their labels; returns the panoptic annotation."""
    pixels = random.randint(0, 90, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    labels = np.full((HEIGHT, WIDTH), 1, np.uint8)
    labels[HORIZON:] = 2
    ids = labels.astype(np.uint32)  # of segments: 1 sky, 2 ground, 3 red, 4 green
    for label, category in enumerate((3, 8)):
        x, y = 48 * label + random.randint(2, 10), random.randint(2, 20)
        w, h = random.randint(16, 36), random.randint(16, 40)
        pixels[y : y + h, x : x + w, label] = 255
        labels[y : y + h, x : x + w] = 0
        ids[y : y + h, x : x + w] = 3 + label
        annotations.append(_object(len(annotations) + 1, image_id, category, (x, y, w, h)))
    labels[0, 0] = 255
    ids[0, 0] = 0
    name = f"{image_id}.png"
    Image.fromarray(pixels).save(folder / "images" / name)
    Image.fromarray(labels).save(folder / "stuff" / name)
    rgb = np.stack([ids % 256, ids // 256, np.zeros_like(ids)], axis=2).astype(np.uint8)
    Image.fromarray(rgb).save(folder / "panoptic" / name)
    found = [
        {"id": int(key), "category_id": (20, 12, 3, 8)[key - 1], "area": int((ids == key).sum()),
         "iscrowd": 0, "bbox": [0, 0, WIDTH, HEIGHT]}
        for key in range(1, 5)
    ]  # fmt: skip
    return {"image_id": image_id, "file_name": name, "segments_info": found}


def _object(number: int, image_id: int, category: int, box: tuple[int, int, int, int]) -> Content:
    x, y, w, h = (int(value) for value in box)
    right, low = x + w, y + h
    corners = [(x, y), (right - 1, y), (x, low - 1), (right - 1, low - 1)]
    keypoints = [value for corner in corners for value in (*corner, 2)]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "bbox": [float(x), float(y), float(w), float(h)],
        "area": float(w * h),
        "iscrowd": 0,
        "segmentation": [[x, y, right, y, right, low, x, low + 0.0]],
        "keypoints": [*keypoints, 0, 0, 0],
        "num_keypoints": 4,
    }


def _crowd(number: int) -> Content:
    """The first image's left ten columns, as runs of the columns' pixels."""
    runs = [0, 10 * HEIGHT, (WIDTH - 10) * HEIGHT]
    return {
        "id": number,
        "image_id": 0,
        "category_id": 3,
        "bbox": [0.0, 0.0, 10.0, float(HEIGHT)],
        "area": 10.0 * HEIGHT,
        "iscrowd": 1,
        "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs},
    }
