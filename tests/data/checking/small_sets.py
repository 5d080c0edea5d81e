"""Small detection sets with pictures by a formula, to be spoilt. Engine-neutral."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from resnext_det.data.catalog import DatasetEntry
from tests.data.pictures import photograph

WIDTH, HEIGHT = 64, 48


def picture(seed: int) -> Image.Image:
    """A picture unlike that of any other seed."""
    return photograph(HEIGHT, WIDTH, seed)


def content(names: list[str]) -> dict[str, Any]:
    """An image for each name with one box of each of two classes; ids from 1."""
    images = [
        {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH}
        for number, name in enumerate(names, start=1)
    ]
    annotations = []
    for image in images:
        for category, box in ((1, [4, 6, 20, 30]), (2, [30.5, 10, 24, 12.25])):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": category,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_set(folder: Path, name: str, seeds: list[int], given: Any = None) -> DatasetEntry:
    """Writes NAME.json and, into NAME/, a PNG for each seed, called SEED.png."""
    images = folder / name
    images.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        picture(seed).save(images / f"{seed}.png")
    path = folder / f"{name}.json"
    made = content([f"{seed}.png" for seed in seeds]) if given is None else given
    path.write_text(json.dumps(made))
    return DatasetEntry(name, path, images)


def write_spoilt_set(folder: Path) -> DatasetEntry:
    """A set with one of every kind of mistake that can be mended, and two good objects."""
    names = ["1.png", "2.png", "old\\3.png", "4.png", "gone.png"]
    made = content(names)
    images, annotations = made["images"], made["annotations"]
    images[3] |= {"height": "48", "width": 0}
    made["info"] = {"score": float("nan")}
    made["annotations"] = annotations[:2]
    for number, change in enumerate(
        (
            {"bbox": ["1", "2", "3", "4"]},
            {"bbox": [30, 40, -10, -20]},
            {"bbox": [-5, 4, 20, 30]},
            {"bbox": [1, 2, 0, 4]},
            {"id": 1},
            {"image_id": 99},
            {"category_id": 99},
            {"image_id": "2"},
            {"ignore": 1},
            {"iscrowd": "0"},
            {"area": "x"},
            {"segmentation": 4},
            {"image_id": 3},
            {"image_id": 5},
        ),
        start=11,
    ):
        made["annotations"].append({**annotations[0], "id": number, **change})
    made["annotations"].append(None)
    return write_set(folder, "train", [1, 2, 3, 4], made)
