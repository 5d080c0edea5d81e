"""A folder of coloured images and a config small enough to train on. Engine-neutral."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnext_det.classification import train_classifier
from resnext_det.config import load_config
from resnext_det.data.catalog import DatasetEntry
from resnext_det.training import from_config

CLASSES = ("blue", "green", "red")
BASE = "resnext_det://Base-Classification.yaml"


def write_folder(root: Path, classes=CLASSES, images_per_class=4) -> None:
    random = np.random.default_rng(0)
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(images_per_class):
            pixels = random.integers(0, 60, (40, 48, 3), dtype=np.uint8)
            pixels[..., 2 - number % 3] += 180
            Image.fromarray(pixels).save(root / name / f"{i}.png")


@pytest.fixture
def datasets(tmp_path):
    for split in ("toy_train", "toy_val"):
        write_folder(tmp_path / split)
    return {name: DatasetEntry(name, None, tmp_path / name) for name in ("toy_train", "toy_val")}


@pytest.fixture
def load(tmp_path):
    """Returns a function from further KEY VALUE pairs to a loaded config."""

    def load(*more, output="run"):
        keys = {
            "MODEL.RESNETS.DEPTH": 18, "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
            "DATASETS.TRAIN": ["toy_train"], "DATASETS.TEST": ["toy_val"], "SEED": 1,
            "OUTPUT_DIR": str(tmp_path / output), "DATALOADER.NUM_WORKERS": 0,
            "SOLVER.IMS_PER_BATCH": 6, "SOLVER.MAX_ITER": 6, "SOLVER.STEPS": [5],
            "SOLVER.BASE_LR": 0.01, "SOLVER.CHECKPOINT_PERIOD": 2, "TEST.EVAL_PERIOD": 4,
            "INPUT.CLASSIFICATION.TRAIN_CROP": 32, "INPUT.CLASSIFICATION.RESIZE_TEST": 32,
            "INPUT.CLASSIFICATION.TEST_CROP": 32,
        }  # fmt: skip
        keys.update(zip(more[::2], more[1::2], strict=True))
        return load_config(BASE, [str(part) for pair in keys.items() for part in pair])

    return load


@pytest.fixture
def train_and_interrupt(monkeypatch):
    """Returns a function that trains as `train_classifier` and stops it, as Ctrl-C does."""

    def train(loaded, datasets, *, after):
        class Interrupted(from_config.CheckpointHook):
            def after_iteration(self, iteration):
                super().after_iteration(iteration)
                if iteration == after:
                    raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(from_config, "CheckpointHook", Interrupted)
            with pytest.raises(KeyboardInterrupt):
                train_classifier(loaded, datasets)

    return train


@pytest.fixture(autouse=True)
def _tidy(no_handlers_left):
    """Runs log into folders that are gone after the test."""
