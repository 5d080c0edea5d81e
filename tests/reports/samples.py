"""Result JSON of studies that were never run: figures by a formula, in the form that is read.

python -m tests.reports.samples FOLDER    writes a result.json of each kind, to look at its page
"""

import base64
import io
import json
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

T_975 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # Student's quantile by the number of seeds
FOUR = ("ResNet-50", "ResNeXt-50 32x4d", "ResNet-101", "ResNeXt-101 32x4d")
DETECTION_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
COST = {"ResNet-50": (23.5e6, 4.09e9), "ResNeXt-50 32x4d": (23.0e6, 4.23e9)}


def detection(
    *,
    models: Sequence[str] = FOUR,
    num_seeds: int = 5,
    class_names: Sequence[str] = ("RBC", "WBC", "Platelets"),
    num_pictures: int = 3,
    addresses: bool = True,
) -> dict[str, Any]:
    """A comparison of detectors with every entry; each odd model is 2 points above its left."""
    rows = [
        _detection_row(model, number, seed, class_names)
        for number, model in enumerate(models)
        for seed in range(num_seeds)
    ]
    pairs = list(zip(models[::2], models[1::2], strict=False))
    metrics = ("AP", "AP50", "APs", "APm", *(f"AP-{name}" for name in class_names))
    return {
        **_common("Detection comparison", "detection", rows),
        "dataset": {
            "description": "Stand-in images of cells.",
            "annotations": "data/val.json",
            "images": "data/val",
            "digest": "0" * 64,
            "num_images": 60,
            "class_names": list(class_names),
        },
        "differences": [_difference(rows, *pair, metric) for pair in pairs for metric in metrics],
        "precision_recall": {
            "recall": [i / 100 for i in range(101)],
            "curves": [
                _precision(model, number, iou, num_seeds)
                for iou in (0.5, 0.75, "mean")
                for number, model in enumerate(models)
            ],
        },
        "pictures": [
            _picture(number, class_names, models[:2], addresses) for number in range(num_pictures)
        ],
        "published": ["table8", "detectron2"],
        "findings": [
            {"text": "All rows share every setting.", "passed": True},
            {"text": "The backbones' multiply-adds differ by 3.4 %.", "passed": False},
            {"text": "One data set says little of others.", "passed": None},
        ],
    }


def classification(*, num_seeds: int = 3) -> dict[str, Any]:
    """A study of classifiers, as of the paper's Table 3."""
    rows = []
    for number, model in enumerate(("ResNet-50", "ResNeXt-50 4x24d", "ResNeXt-50 32x4d")):
        for seed in range(num_seeds):
            top1 = 74.0 + number + 0.2 * math.sin(3 * seed + number)
            rows.append(
                {
                    **_row(model, None, seed, {"top1": top1, "top5": top1 + 15}),
                    "curves": {"classification": _losses(seed, "top1", top1)},
                }
            )
    return {
        **_common("Cardinality", "classification", rows),
        "dataset": {"description": "Stand-in images of things.", "num_images": 2000},
        "differences": [
            _difference(rows, "ResNet-50", second, metric)
            for second in ("ResNeXt-50 4x24d", "ResNeXt-50 32x4d")
            for metric in ("top1", "top5")
        ],
        "published": ["table3", "model_table"],
        "findings": [],
    }


def one_run() -> dict[str, Any]:
    """A single run's result.json."""
    return {
        "config": {"MODEL": {}},
        "versions": {"torch": "2.15.0"},
        "seed": 3,
        "engine": "portable",
        "metrics": {"AP": 30.0, "AP50": 52.0, "APs": None, "AP-cell": 30.0},
        "command": "python train_net.py --config-file a.yaml OUTPUT_DIR run",
        "seconds": 61.5,
    }


def _common(title: str, kind: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "title": title,
        "kind": kind,
        "scale": "mini",
        "command": "python projects/DetectionComparison/run.py --scale mini --seeds 5 "
        "--output output/detection_comparison_on_blood_cells_from_classification",
        "code": {"package": "0.1.0", "sources": "4f" * 32, "commit": "ab" * 20},
        "versions": {"python": "3.11.7", "torch": "2.15.0", "device": "NVIDIA H100 80GB HBM3"},
        "engine": "portable",
        "seconds": 7265.4,
        "settings": {
            "SOLVER.MAX_ITER": 400,
            "SOLVER.STEPS": [300, 360],
            "MODEL.PIXEL_MEAN": [123.675, 116.28, 103.53],
            "MODEL.MASK_ON": False,
        },
        "rows": rows,
    }


def _row(model: str, pretrained: bool | None, seed: int, metrics: dict[str, Any]) -> dict[str, Any]:
    params, flops = COST.get(model, (42.1e6, 7.8e9))
    tag = model.replace(" ", "_")
    command = (
        f"python train_net.py --config-file configs/quick_schedules/{tag}.yaml --num-gpus 1 "
        f"SEED {seed} MODEL.WEIGHTS output/mini/classification_{tag}_{seed}/model_final.pth "
        f"OUTPUT_DIR output/mini/detection_{tag}_{seed}"
    )
    return {
        "model": model,
        "pretrained": pretrained,
        "note": "",
        "seed": seed,
        "metrics": metrics,
        "run": f"detection_{tag}_{seed}",
        "params": int(params),
        "flops": flops,
        "seconds": 1200.0 + 7 * seed,
        "speed": {"train_seconds_per_iteration": 0.21 + 0.001 * seed, "device": "NVIDIA H100"},
        "commands": [command],
    }


def _detection_row(
    model: str, number: int, seed: int, class_names: Sequence[str]
) -> dict[str, Any]:
    ap = 30.0 + 2 * number + 0.8 * math.sin(2 * seed + number)
    metrics: dict[str, Any] = {"AP": ap, "AP50": ap + 22, "AP75": ap - 3}
    metrics |= {"APs": ap - 12, "APm": ap - 2, "APl": None}
    for index, name in enumerate(class_names):
        metrics[f"AP-{name}"] = None if index == 7 else ap + 9 * math.sin(index)
    top1 = 80.0 + number + 0.1 * seed
    return {
        **_row(model, True, seed, metrics),
        "pretraining": "stand-in things",
        "pretraining_metrics": {"top1": top1, "top5": top1 + 12},
        "curves": {
            "classification": _losses(seed, "top1", top1),
            "detection": {
                **_losses(seed + number, "bbox/AP", ap),
                "bbox/AP50": [[100, 200, 300, 400], [ap / 2, ap, ap + 12, ap + 22]],
                "bbox/APl": [[400], [None]],
            },
        },
    }


def _losses(phase: int, metric: str, last: float) -> dict[str, Any]:
    iterations = list(range(20, 401, 20))
    losses = [0.5 + 2 * math.exp(-i / 90) + 0.05 * math.sin(i / 9 + phase) for i in iterations]
    return {
        "total_loss": [iterations, losses],
        metric: [[100, 200, 300, 400], [last * share for share in (0.3, 0.6, 0.9, 1.0)]],
    }


def _difference(rows: list[dict[str, Any]], first: str, second: str, metric: str) -> dict[str, Any]:
    values = {
        model: [row["metrics"][metric] for row in rows if row["model"] == model]
        for model in (first, second)
    }
    entry = {"first": first, "second": second, "metric": metric, "confidence": 0.95}
    if None in values[first]:
        nothing = dict.fromkeys(("value", "low", "high", "t_low", "t_high", "verdict"))
        return {**entry, **nothing, "per_seed": [], "text": f"{metric} is undefined."}
    per_seed = [b - a for a, b in zip(values[first], values[second], strict=True)]
    value, n = statistics.mean(per_seed), len(per_seed)
    half = T_975[n] * statistics.stdev(per_seed) / n**0.5 if n > 1 else None
    low, high = value - 1.1, value + 1.3
    verdict = None
    if half is not None:
        above = min(low, value - half) > 0
        verdict = "larger" if above else "not told apart"
    return {
        **entry,
        "value": value,
        "low": low,
        "high": high,
        "num_images": 60,
        "num_seeds": n,
        "per_seed": per_seed,
        "t_low": None if half is None else value - half,
        "t_high": None if half is None else value + half,
        "verdict": verdict,
        "text": _sentence(first, second, metric, value, verdict),
    }


def _sentence(first: str, second: str, metric: str, value: float, verdict: str | None) -> str:
    if verdict is None:
        return (
            "With one seed each, this compares two trained networks, not architectures: "
            f"{second} minus {first} is {value:+.1f} in {metric}."
        )
    if verdict == "not told apart":
        return f"{second} and {first} are not told apart in {metric} by this much data."
    return f"{second} has a {verdict} {metric} than {first}: {value:+.1f}."


def _precision(model: str, number: int, iou: float | str, num_seeds: int) -> dict[str, Any]:
    power = {0.5: 6.0, 0.75: 2.5, "mean": 3.0}[iou] + number
    line = [1 - (i / 100) ** power for i in range(101)]
    several = num_seeds > 1
    return {
        "model": model,
        "pretrained": True,
        "iou": iou,
        "precision": line,
        "low": [max(0.0, value - 0.04) for value in line] if several else None,
        "high": [min(1.0, value + 0.04) for value in line] if several else None,
    }


def _picture(
    number: int, class_names: Sequence[str], models: Sequence[str], addresses: bool
) -> dict[str, Any]:
    width, height = ((320, 240), (240, 320), (300, 300))[number % 3]
    names = [class_names[(number + i) % len(class_names)] for i in range(4)]
    places = [(20 + 60 * i, 30 + 45 * (i % 3), 50, 60) for i in range(4)]
    truth = [{"bbox": list(box), "name": name} for box, name in zip(places, names, strict=True)]
    sides = []
    for shift, model in enumerate(models):
        boxes = [
            {"bbox": [x + 3 * shift, y - 2, w, h], "name": name, "score": 0.95 - 0.2 * i}
            for i, ((x, y, w, h), name) in enumerate(zip(places, names, strict=True))
        ]
        score = 41.5 + 30 * shift
        sides.append({"model": model, "seed": 0, "score": score, "boxes": boxes[: 2 + 2 * shift]})
    return {
        "file_name": f"held_out_{number:03d}.jpg",
        "width": width,
        "height": height,
        "address": _address(width, height, places) if addresses else None,
        "truth": truth,
        "sides": sides,
    }


def _address(width: int, height: int, places: Sequence[tuple[int, int, int, int]]) -> str:
    image = Image.new("RGB", (width, height), "#dfe6ea")
    pen = ImageDraw.Draw(image)
    for index, (x, y, w, h) in enumerate(places):
        pen.ellipse([x, y, x + w, y + h], fill=("#c0504d", "#8064a2", "#4f81bd")[index % 3])
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def samples() -> dict[str, dict[str, Any]]:
    """Returns a result JSON of each kind, by name."""
    long_names = [f"unmistakably long name of the class number {i}" for i in range(6)]
    coco = [f"class {i}" for i in range(80)]
    return {
        "detection": detection(),
        "classification": classification(),
        "one_run": one_run(),
        "one_seed": detection(num_seeds=1, num_pictures=0),
        "many_classes": detection(models=FOUR[:2], num_seeds=3, class_names=coco, addresses=False),
        "long_names": detection(models=FOUR[:2], num_seeds=2, class_names=long_names),
        "empty": {"rows": []},
    }


def write_samples(folder: Path) -> dict[str, Path]:
    """Writes each sample into a folder of its name; returns the files."""
    files = {}
    for name, content in samples().items():
        files[name] = folder / name / "result.json"
        files[name].parent.mkdir(parents=True, exist_ok=True)
        files[name].write_text(json.dumps(content))
    return files


if __name__ == "__main__":
    for path in write_samples(Path(sys.argv[1])).values():
        print(path)
