"""A tiny detection set and a tiny detector that either engine trains in a second."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from resnext_det.config import load_config
from resnext_det.data.catalog import DatasetEntry
from resnext_det.engines.base import Engine, resolve_engine
from resnext_det.engines.detection import DetectionJob
from resnext_det.training.run_directory import Resume
from tools.tiny_runs import DETECTOR

NUM_IMAGES, WIDTH, HEIGHT = 6, 96, 64


def _changed(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Returns nested keys with some changed or added; lists are taken whole."""
    merged = dict(content)
    for key, value in changes.items():
        merged[key] = _changed(content[key], value) if isinstance(content.get(key), dict) else value
    return merged


# That of the tools, a little wider and longer trained; the learning rate is that of any config.
CONFIG = _changed(
    {**DETECTOR, "SOLVER": {"IMS_PER_BATCH": 2}},
    {
        "MODEL": {
            "RESNETS": {"WIDTH_PER_GROUP": 4, "STEM_OUT_CHANNELS": 16, "RES2_OUT_CHANNELS": 32},
            "FPN": {"OUT_CHANNELS": 16},
            "RPN": {"PRE_NMS_TOPK_TEST": 200},
            "ROI_BOX_HEAD": {"NUM_FC": 2, "FC_DIM": 32},
        },
        "INPUT": {"MAX_SIZE_TRAIN": 128, "MAX_SIZE_TEST": 128},
        "DATALOADER": {"NUM_WORKERS": 0},
        "SOLVER": {
            "BASE_LR": 0.01,
            "MAX_ITER": 6,
            "STEPS": [4],
            "WARMUP_ITERS": 2,
            "CHECKPOINT_PERIOD": 3,
        },
        "DATASETS": {"TRAIN": ["shapes"], "TEST": ["shapes"]},
        "SEED": 7,
    },
)


@dataclass(frozen=True)
class Bench:
    """What a test runs an engine on.

    Attributes:
        entry: the data set.
        config: the YAML file.
        folder: an empty folder for outputs.
    """

    entry: DatasetEntry
    config: Path
    folder: Path

    def job(self, name: str, *overrides: object, resume: Resume = False) -> DetectionJob:
        """Returns a job that writes into `folder / name`."""
        words = [str(word) for word in overrides]
        loaded = load_config(str(self.config), ["OUTPUT_DIR", str(self.folder / name), *words])
        return DetectionJob(loaded, {self.entry.name: self.entry}, resume)

    def cut(self, name: str, checkpoint: str, to: str) -> None:
        """Makes the folder of a run that ended at one of another run's checkpoints."""
        (self.folder / to).mkdir()
        shutil.copy(self.folder / name / checkpoint, self.folder / to)
        (self.folder / to / "last_checkpoint").write_text(checkpoint)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path)


def make_bench(folder: Path) -> Bench:
    """Writes the data set and the config into an empty folder."""
    config = folder / "tiny.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    return Bench(write_shapes(folder / "shapes"), config, folder / "output")


@pytest.fixture(params=["portable", pytest.param("d2", marks=pytest.mark.d2)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Both engines in turn: what holds for one holds for the other."""
    return resolve_engine(request.param)


@pytest.fixture(autouse=True)
def _tidy(no_handlers_left: None) -> None:
    """Runs log into folders that are gone after the test."""


def write_shapes(folder: Path) -> DatasetEntry:
    """Writes bright rectangles on noise, two classes by colour, category ids 3 and 8."""
    random = np.random.RandomState(0)
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for image_id in range(NUM_IMAGES):
        pixels = random.randint(0, 90, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        for label in (0, 1):
            x, y = random.randint(0, 40), random.randint(0, 24)
            w, h = random.randint(16, 40), random.randint(16, 36)
            pixels[y : y + h, x : x + w, label] = 255
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": (3, 8)[label],
                    "bbox": [float(x), float(y), float(w), float(h)],
                    "area": float(w * h),
                    "iscrowd": 0,
                }
            )
        Image.fromarray(pixels).save(folder / "images" / f"{image_id}.png")
        images.append(
            {"id": image_id, "file_name": f"{image_id}.png", "height": HEIGHT, "width": WIDTH}
        )
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 3, "name": "red"}, {"id": 8, "name": "green"}],
    }
    (folder / "shapes.json").write_text(json.dumps(content))
    return DatasetEntry("shapes", folder / "shapes.json", folder / "images")
