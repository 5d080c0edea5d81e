"""Small data sets and jobs on them, for the plan's tests. Engine-neutral."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from projects.studies.jobs import Job, make_job

QUICK = "resnext_det://quick_schedules"


def folder_set(root: Path, *, classes: int = 10, images: int = 4) -> str:
    pixels = np.random.default_rng(0).integers(0, 256, (classes, images, 40, 40, 3), dtype=np.uint8)
    for number, one_class in enumerate(pixels):
        folder = root / f"class_{number}"
        folder.mkdir(parents=True)
        for place, image in enumerate(one_class):
            Image.fromarray(image).save(folder / f"{place}.png")
    return str(root)


def coco_set(root: Path, *, images: int = 20) -> str:
    root.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 96, 128, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(root / f"{number}.png")
    content = {
        "images": [
            {"id": n, "file_name": f"{n}.png", "height": 96, "width": 128} for n in range(images)
        ],
        "annotations": [
            {"id": n + 1, "image_id": n, "category_id": 1, "bbox": [10, 10, 40, 30], "area": 1200,
             "iscrowd": 0}
            for n in range(images)
        ],
        "categories": [{"id": n, "name": f"class_{n}"} for n in range(10)],
    }  # fmt: skip
    path = root.with_suffix(".json")
    path.write_text(json.dumps(content))
    return f"{path}:{root}"


def classification_job(
    folder: Path, train: str, test: str, *, seed: int = 0, tag: str = "R_26", **more: object
) -> Job:
    overrides = [word for key, value in more.items() for word in (key, str(value))]
    return make_job(
        folder.name,
        folder,
        f"{QUICK}/classification_{tag}.yaml",
        seed=seed,
        sets=(train, test),
        overrides=overrides,
    )


def detection_job(
    folder: Path, train: str, test: str, *, weights: Path | str = "", seed: int = 0, **more: object
) -> Job:
    overrides = [word for key, value in more.items() for word in (key, str(value))]
    needs = (weights.parent,) if isinstance(weights, Path) else ()
    return make_job(
        folder.name,
        folder,
        f"{QUICK}/faster_rcnn_R_26_FPN.yaml",
        seed=seed,
        sets=(train, test),
        options=("--engine", "portable"),
        overrides=("MODEL.WEIGHTS", str(weights), *overrides),
        needs=needs,
    )
