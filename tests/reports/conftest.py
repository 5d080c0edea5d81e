"""A study of three stand-in runs with known numbers, as result JSON on disk."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROWS = [
    # model, pretrained, AP50, AP, params, flops
    ("ResNet-26", True, 52.34, 27.26, 13_961_000, 0.71e9),
    ("ResNeXt-26 32x4d", True, 55.0, 29.0, 13_400_000, 0.715e9),
    ("ResNeXt-26 32x4d", False, 8.0, 3.0, 13_400_000, 0.715e9),
]


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    """Returns result.json of a study whose runs, images and annotations lie beside it."""
    return write_study(tmp_path)


def write_study(folder: Path) -> Path:
    _write_dataset(folder)
    rows = []
    for number, (model, pretrained, ap50, ap, params, flops) in enumerate(ROWS):
        run = folder / f"run{number}"
        _write_run(run, ap50=ap50, ap=ap)
        _write_run(folder / f"classification{number}", ap50=0.0, ap=0.0)
        rows.append(
            {
                "model": model,
                "pretrained": pretrained,
                "pretraining": "digits, 78.1 % top-1" if pretrained else "",
                "seed": 0,
                "metrics": {"AP": ap, "AP50": ap50, "APs": 1.0, "APm": None, "APl": 2.0},
                "run": run.name,
                "pretraining_run": f"classification{number}" if pretrained else None,
                "params": params,
                "flops": flops,
            }
        )
    content = {
        "title": "Stand-in study",
        "rows": rows,
        "engine": "portable",
        "seconds": 541,
        "versions": {"torch": "2.15.0"},
        "settings": {"SOLVER.MAX_ITER": 400},
        "findings": [
            {"text": "Both reach AP50 30.", "passed": True},
            {"text": "Equal within 2 %.", "passed": False},
            {"text": "One seed says little.", "passed": None},
        ],
        "dataset": {"description": "Digits.", "annotations": "val.json", "images": "images"},
    }
    path = folder / "result.json"
    path.write_text(json.dumps(content))
    return path


def _write_dataset(folder: Path) -> None:
    images = folder / "images"
    images.mkdir()
    annotations = []
    for index in range(6):
        pixels = np.random.RandomState(index).randint(0, 255, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((128, 128)).save(images / f"{index}.png")
        if index:  # the first image is without a box
            box = [10 + 8 * index, 30, 40, 50]
            annotations.append(
                {"id": index, "image_id": index, "category_id": 1 + index % 2, "bbox": box}
            )
    dataset = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": 128, "height": 128} for i in range(6)
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "seven"}, {"id": 2, "name": "eight"}],
    }
    (folder / "val.json").write_text(json.dumps(dataset))


def _write_run(run: Path, *, ap50: float, ap: float) -> None:
    (run / "inference").mkdir(parents=True)
    lines = []
    for iteration in range(19, 400, 20):
        line: dict[str, Any] = {
            "iteration": iteration,
            "total_loss": 0.5 + math.exp(-iteration / 99),
        }
        if (iteration + 1) % 100 == 0:
            share = (iteration + 1) / 400
            line |= {"bbox/AP": ap * share, "bbox/AP50": ap50 * share}
        lines.append(json.dumps(line))
    (run / "metrics.json").write_text("\n".join(lines) + "\n")
    records = [
        {"image_id": i, "category_id": 1, "bbox": [12 + 8 * i, 32, 40, 44], "score": 0.3 + i / 10}
        for i in range(1, 6)
    ]
    (run / "inference" / "coco_instances_results.json").write_text(json.dumps(records))
