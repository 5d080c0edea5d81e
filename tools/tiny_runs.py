"""Tiny data and runs that start in seconds, for tools that try runs out. Engine-neutral."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from PIL import Image

TinyEngine = Literal["classification", "portable", "d2"]
ENGINES: tuple[TinyEngine, ...] = ("classification", "portable", "d2")
ROOT = Path(__file__).parents[1]
IMAGES, WIDTH, HEIGHT = 6, 96, 64
_LABELS = ("green", "red")

_NETWORK = {
    "DEPTH": 26,
    "NUM_GROUPS": 4,
    "WIDTH_PER_GROUP": 2,
    "STEM_OUT_CHANNELS": 8,
    "RES2_OUT_CHANNELS": 16,
}
_CLASSIFIER = {
    "_BASE_": "resnext_det://Base-Classification.yaml",
    "MODEL": {"DEVICE": "cpu", "RESNETS": _NETWORK},
    "INPUT": {"CLASSIFICATION": {"TRAIN_CROP": 32, "RESIZE_TEST": 32, "TEST_CROP": 32}},
    "SOLVER": {"IMS_PER_BATCH": 4, "BASE_LR": 0.01, "REFERENCE_BATCH": 0},
    "SEED": 1,
}
DETECTOR = {
    "MODEL": {
        "META_ARCHITECTURE": "GeneralizedRCNN",
        "WEIGHTS": "",
        "DEVICE": "cpu",
        "PIXEL_MEAN": [123.675, 116.28, 103.53],
        "PIXEL_STD": [58.395, 57.12, 57.375],
        "BACKBONE": {"NAME": "build_resnext_fpn_backbone", "FREEZE_AT": 0},
        "RESNETS": {
            **_NETWORK,
            "NORM": "BN",
            "STRIDE_IN_1X1": False,
            "OUT_FEATURES": ["res2", "res3", "res4", "res5"],
        },
        "FPN": {"IN_FEATURES": ["res2", "res3", "res4", "res5"], "OUT_CHANNELS": 8},
        "ANCHOR_GENERATOR": {"SIZES": [[8], [16], [32], [64], [128]]},
        "RPN": {"IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"], "PRE_NMS_TOPK_TEST": 100},
        "ROI_HEADS": {"NAME": "StandardROIHeads", "IN_FEATURES": ["p2", "p3", "p4", "p5"]},
        "ROI_BOX_HEAD": {
            "NAME": "FastRCNNConvFCHead",
            "NUM_FC": 1,
            "FC_DIM": 16,
            "POOLER_RESOLUTION": 7,
        },
    },
    "INPUT": {
        "FORMAT": "RGB",
        "MIN_SIZE_TRAIN": [48, 64],
        "MAX_SIZE_TRAIN": 96,
        "MIN_SIZE_TEST": 64,
        "MAX_SIZE_TEST": 96,
    },
    "SOLVER": {"IMS_PER_BATCH": 2, "BASE_LR": 0.005, "WARMUP_ITERS": 5, "REFERENCE_BATCH": 0},
    "SEED": 1,
}


@dataclass(frozen=True)
class TinyRun:
    """A run of `train_net.py` on generated data.

    Attributes:
        engine: which one, or classification.
        folder: of the data and the config, which `write` makes; outputs go beside them.
        keys: config keys beside those of the tiny config.
    """

    engine: TinyEngine
    folder: Path
    keys: Mapping[str, Any] = field(default_factory=dict)

    def write(self) -> None:
        """Writes the data and the config."""
        is_classifier = self.engine == "classification"
        for place, split in enumerate(("train", "val")):
            if is_classifier:
                write_classes(self.folder / split, seed=place)
            else:
                write_rectangles(self.folder / split, seed=place)
        content = _CLASSIFIER if is_classifier else DETECTOR
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(content))

    def command(self, output: str, *options: str) -> list[str]:
        """Returns the command that runs into `folder / output`."""
        engine = () if self.engine == "classification" else ("--engine", self.engine)
        words = {**self.keys, "OUTPUT_DIR": self.folder / output}
        return [
            *(sys.executable, "train_net.py", "--config-file", str(self.folder / "tiny.yaml")),
            *(*engine, "--train-data", self._data("train"), "--test-data", self._data("val")),
            *(*options, *(str(word) for pair in words.items() for word in pair)),
        ]

    def start(self, output: str, *options: str) -> subprocess.Popen[bytes]:
        """Starts the command in a session of its own, with what it says in `output`.txt."""
        with (self.folder / f"{output}.txt").open("ab") as said:
            return subprocess.Popen(
                self.command(output, *options),
                cwd=ROOT,
                env=environment(),
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def _data(self, split: str) -> str:
        folder = self.folder / split
        if self.engine == "classification":
            return f"tiny_{split}={folder}/"
        return f"tiny_{split}={folder / 'instances.json'}:{folder / 'images'}/"


def environment() -> dict[str, str]:
    """Returns the variables of a run on one thread, with this checkout's code."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **one, "PYTHONPATH": str(ROOT)}


def write_classes(folder: Path, seed: int, classes: Sequence[str] = _LABELS) -> None:
    """Writes a folder of class folders: noise with a channel of its own for each class."""
    random = np.random.default_rng(seed)
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(IMAGES):
            pixels = random.integers(0, 60, (40, 48, 3), dtype=np.uint8)
            pixels[..., label] += 120
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def write_rectangles(folder: Path, seed: int) -> None:
    """Writes a COCO set: two bright rectangles, one of each class, on noise."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, IMAGES + 1):
        pixels = random.integers(0, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for label in range(len(_LABELS)):
            x, y, w, h = (int(random.integers(*span)) for span in _SPANS)
            pixels[y : y + h, x : x + w, label] = 255
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label + 1,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        images.append(
            {"id": number, "file_name": f"{number}.png", "height": HEIGHT, "width": WIDTH}
        )
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(_LABELS)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))


_SPANS = ((0, 50), (0, 28), (16, 46), (16, 36))
"""Left, top, width and height of a rectangle, in pixels: from, and below what."""
