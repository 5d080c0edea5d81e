"""Small random COCO sets that reach the corners of the AP definition."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def make_vector(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Gives `write_vector` with the test's own folder."""
    return lambda **settings: write_vector(tmp_path, **settings)


def write_vector(
    folder: Path,
    *,
    seed: int,
    num_images: int = 12,
    num_classes: int = 3,
    max_boxes: int = 8,
    max_detections: int = 20,
    crowd_share: float = 0.0,
    tied_scores: bool = False,
    with_area: bool = True,
) -> tuple[Path, Path]:
    """Writes gt.json and dt.json: jittered copies of the truth, wrong classes, and noise."""
    random = np.random.RandomState(seed)
    annotations, results = [], []
    image_ids = random.permutation(1000)[:num_images] + 1
    category_ids = np.sort(random.permutation(200)[:num_classes] + 1)
    for image_id in image_ids.tolist():
        count = random.randint(0, max_boxes + 1)
        boxes = _random_boxes(random, count)
        for box in boxes.tolist():
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": int(random.choice(category_ids)),
                "bbox": box,
                "iscrowd": int(random.rand() < crowd_share),
            }
            if with_area:
                annotation["area"] = box[2] * box[3] * float(random.uniform(0.5, 1.0))
            annotations.append(annotation)
        found = random.randint(0, max_detections + 1)
        for _ in range(found):
            score = float(random.rand())
            category_id = int(random.choice(category_ids))
            if count and random.rand() < 0.8:
                copied = random.randint(count)
                box = boxes[copied] + random.uniform(-0.1, 0.1, size=4) * boxes[copied, 2:].min()
                score = 0.4 + 0.6 * score
                if random.rand() < 0.8:
                    category_id = annotations[copied - count]["category_id"]
            else:
                box = _random_boxes(random, 1)[0]
            results.append(
                {
                    "image_id": image_id,
                    "category_id": category_id,
                    "bbox": box.tolist(),
                    "score": round(score, 1) if tied_scores else score,
                }
            )
    ground_truth = {
        "images": [
            {"id": i, "width": 640, "height": 480, "file_name": "x"} for i in image_ids.tolist()
        ],
        "categories": [{"id": int(i), "name": f"class {i}"} for i in category_ids],
        "annotations": annotations,
    }
    gt, dt = folder / "gt.json", folder / "dt.json"
    gt.write_text(json.dumps(ground_truth))
    dt.write_text(json.dumps(results))
    return gt, dt


def _random_boxes(random: np.random.RandomState, count: int) -> np.ndarray:
    """Returns (count, 4) float64 xywh with sides of 4 … 256 pixels, half of them repeated areas."""
    sides = 2.0 ** random.uniform(2, 8, size=(count, 2))
    sides[random.rand(count) < 0.3] = 32.0  # exactly 1024, the border of small and medium
    corners = random.uniform(0, 200, size=(count, 2))
    return np.concatenate([corners, sides], axis=1)
