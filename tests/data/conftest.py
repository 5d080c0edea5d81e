"""Small sets written to disk, and the keys that the data rooms read. Engine-neutral."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fvcore.common.config import CfgNode
from PIL import Image


@pytest.fixture
def cfg() -> CfgNode:
    """The keys read here, with small values; names and types are Detectron2's."""
    return CfgNode(
        {
            "SEED": 3,
            "DATASETS": {"TRAIN": ["t"], "TEST": ["v"], "MAX_BROKEN_IMAGES": 100},
            "DATALOADER": {
                "NUM_WORKERS": 0,
                "ASPECT_RATIO_GROUPING": True,
                "FILTER_EMPTY_ANNOTATIONS": True,
            },
            "SOLVER": {"IMS_PER_BATCH": 4, "MAX_ITER": 6},
            "MODEL": {
                "META_ARCHITECTURE": "GeneralizedRCNN",
                "MASK_ON": False,
                "KEYPOINT_ON": False,
                "DEVICE": "cpu",
                "PIXEL_MEAN": [123.675, 116.28, 103.53],
                "PIXEL_STD": [58.395, 57.12, 57.375],
            },
            "INPUT": {
                "FORMAT": "RGB",
                "MIN_SIZE_TRAIN": [48, 64],
                "MAX_SIZE_TRAIN": 100,
                "MIN_SIZE_TRAIN_SAMPLING": "choice",
                "MIN_SIZE_TEST": 64,
                "MAX_SIZE_TEST": 100,
                "RANDOM_FLIP": "horizontal",
                "CLASSIFICATION": {
                    "TRAIN_VIEW": "resized_crop",
                    "TRAIN_CROP": 32,
                    "TRAIN_PADDING": 4,
                    "TRAIN_SCALE": [0.08, 1.0],
                    "TRAIN_RATIO": [0.75, 1.3333333333],
                    "HFLIP": 0.5,
                    "RESIZE_TEST": 40,
                    "TEST_CROP": 32,
                    "INTERPOLATION": "bilinear",
                    "DECODER": "exact",
                    "AUTO_AUGMENT": "",
                    "COLOR_JITTER": [0.0, 0.0, 0.0],
                    "LIGHTING": 0.0,
                },
            },
        }
    )


def make_coco_content() -> dict[str, Any]:
    """Three images (landscape, portrait, without a box), category ids 7 and 3."""
    return {
        "images": [
            {"id": 5, "file_name": "b.png", "height": 60, "width": 40},
            {"id": 2, "file_name": "a.png", "height": 40, "width": 60},
            {"id": 9, "file_name": "c.png", "height": 40, "width": 60},
        ],
        "annotations": [
            {"id": 1, "image_id": 2, "category_id": 7, "bbox": [10.5, 5.25, 20.0, 30.5]},
            {"id": 2, "image_id": 2, "category_id": 3, "bbox": [0, 0, 60, 40], "iscrowd": 1},
            {"id": 3, "image_id": 5, "category_id": 3, "bbox": [1, 2, 39, 50], "iscrowd": 0},
        ],
        "categories": [{"id": 7, "name": "wheel"}, {"id": 3, "name": "door"}],
    }


@pytest.fixture
def coco_content() -> dict[str, Any]:
    """The content of a small valid file, free to be spoilt."""
    return make_coco_content()


@pytest.fixture
def write_coco(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Writes an annotation file and its images; returns both paths."""

    def write(content: Any = None, *, text: str | None = None) -> tuple[Path, Path]:
        images = tmp_path / "images"
        images.mkdir(exist_ok=True)
        random = np.random.RandomState(0)
        for image in make_coco_content()["images"]:
            pixels = random.randint(0, 256, (image["height"], image["width"], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(images / image["file_name"])
        path = tmp_path / "annotations.json"
        path.write_text(json.dumps(content or make_coco_content()) if text is None else text)
        return path, images

    return write
