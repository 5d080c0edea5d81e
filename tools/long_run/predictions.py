"""Predicts with the newest checkpoint of a run, again and again. Engine-neutral.

    python -m tools.long_run.predictions FOLDER COUNT

Images are read and decoded anew each time. FOLDER/predicted holds how many it has been through.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from resnext_det.config import load_config
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.set_aside import SetAsideImages
from resnext_det.engines.base import DetectionRun, resolve_engine
from resnext_det.engines.datasets import read_test_sets
from resnext_det.training.checkpoint import load_checkpoint, restore_model
from resnext_det.training.newest import latest_checkpoint

COUNTED = "predicted"
_EVERY = 50


def predict(folder: Path, count: int) -> int:
    """Predicts on the images of `folder / "val"` with the run in `folder / "run"`.

    Returns:
        How many boxes were found in all.
    """
    output, images = folder / "run", folder / "val"
    newest = latest_checkpoint(output)
    assert newest is not None
    cfg = load_config(str(output / "config.yaml"), ["OUTPUT_DIR", str(folder / "predictions")]).cfg
    entry = DatasetEntry("tiny_val", images / "instances.json", images / "images")
    tests = read_test_sets(cfg, {entry.name: entry})
    engine = resolve_engine("portable")
    model = engine.build_model(cfg)
    restore_model(model, load_checkpoint(newest), newest)
    run = DetectionRun(cfg, None, tests, None, SetAsideImages(0))
    records = tests[entry.name].records
    boxes = 0
    for number in range(count):
        record = records[number % len(records)]
        (found,) = engine.detect(model, run, [record])
        boxes += len(found)
        if (number + 1) % _EVERY == 0:
            (folder / COUNTED).write_text(str(number + 1))
    return boxes


def main(argv: Sequence[str] | None = None) -> int:
    """Predicts; returns the exit status, 0."""
    folder, count = sys.argv[1:] if argv is None else argv
    torch.set_num_threads(1)
    print(predict(Path(folder), int(count)), "boxes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
