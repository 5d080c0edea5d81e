"""Small random COCO sets that reach the corners of the AP definition."""

import json
from pathlib import Path

import numpy as np


def make_vector(
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
            if count and random.rand() < 0.7:
                box = boxes[random.randint(count)] * random.uniform(0.85, 1.15, size=4)
            else:
                box = _random_boxes(random, 1)[0]
            score = float(random.rand())
            results.append(
                {
                    "image_id": image_id,
                    "category_id": int(random.choice(category_ids)),
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
