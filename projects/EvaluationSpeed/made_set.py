"""A made COCO set of a given size, with results: the same from the same seed. Engine-neutral."""

import json
from pathlib import Path
from typing import Any

import numpy as np

_WIDTH, _HEIGHT = 640, 480


def make_set(
    folder: Path, *, images: int, objects: int, detections: int, classes: int, seed: int = 0
) -> tuple[Path, Path]:
    """Writes gt.json and dt.json: half the detections are jittered objects, half are noise.

    Objects have outlines, as in COCO's own files, which a reader has to pass over.

    Args:
        folder: where both go.
        images: how many.
        objects: how many; one in 80 is a crowd.
        detections: how many.
        classes: how many.
        seed: of everything.
    """
    random = np.random.default_rng(seed)
    owners = random.integers(images, size=objects)
    labels = np.minimum(random.exponential(classes / 6, size=objects).astype(int), classes - 1)
    sides = 2 ** random.uniform(3, 8.5, size=(objects, 2))
    corners = random.random((objects, 2)) * np.maximum([_WIDTH, _HEIGHT] - sides, 1)
    boxes = np.round(np.concatenate([corners, sides], axis=1), 2)
    content = {
        "images": [_image(number) for number in range(images)],
        "categories": [{"id": n + 1, "name": f"class {n + 1}"} for n in range(classes)],
        "annotations": [
            {
                "id": number + 1,
                "image_id": int(owners[number]),
                "category_id": int(labels[number]) + 1,
                "bbox": box,
                "area": round(0.7 * box[2] * box[3], 4),
                "iscrowd": int(number % 80 == 79),
                "segmentation": _outline(box, random),
            }
            for number, box in enumerate(boxes.tolist())
        ],
    }
    (folder / "gt.json").write_text(json.dumps(content))
    records = _records(random, boxes, owners, labels, detections, classes)
    (folder / "dt.json").write_text(json.dumps(records))
    return folder / "gt.json", folder / "dt.json"


def _image(number: int) -> dict[str, Any]:
    name = f"{number:012d}.jpg"
    return {"id": number, "file_name": name, "width": _WIDTH, "height": _HEIGHT}


def _outline(box: list[float], random: np.random.Generator) -> list[list[float]]:
    x, y, width, height = box
    turns = np.sort(random.uniform(0, 2 * np.pi, random.integers(8, 60)))
    points = np.stack([x + width * (1 + np.cos(turns)) / 2, y + height * (1 + np.sin(turns)) / 2])
    return [np.round(points.T.ravel(), 2).tolist()]


def _records(
    random: np.random.Generator,
    boxes: np.ndarray,
    owners: np.ndarray,
    labels: np.ndarray,
    number: int,
    classes: int,
) -> list[dict[str, Any]]:
    source = random.integers(len(boxes), size=number)
    noise = random.random(number) < 0.5
    moved = boxes[source] + random.normal(0, 0.08, (number, 4)) * np.tile(boxes[source, 2:], 2)
    moved[:, 2:] = np.maximum(moved[:, 2:], 1)
    found = np.where(noise, random.integers(classes, size=number), labels[source]) + 1
    scores = np.where(noise, random.beta(1, 8, number), random.beta(3, 2, number))
    # Detectors write float32 numbers.
    moved, scores = moved.astype(np.float32), scores.astype(np.float32)
    order = np.argsort(owners[source], kind="stable").tolist()
    return [
        {
            "image_id": int(owners[source[n]]),
            "category_id": int(found[n]),
            "bbox": moved[n].tolist(),
            "score": float(scores[n]),
        }
        for n in order
    ]
