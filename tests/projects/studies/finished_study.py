"""Studies whose runs are there without training, for the tests of what is made of them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from projects.studies.code_version import code_version
from projects.studies.folders.records import new_record, write_record
from projects.studies.grid import Cell, Grid, StudyRow, TestSet
from projects.studies.jobs import Job, make_job
from projects.studies.options import StudyOptions
from resnext_det.config import load_config
from resnext_det.evaluation.coco_ap import evaluate_boxes
from resnext_det.evaluation.coco_input import read_ground_truth
from resnext_det.evaluation.results_json import RESULTS_FILE, write_results
from resnext_det.training.result import write_result

CONFIGS = "resnext_det://quick_schedules"
NUM_IMAGES = 12
FIRST = StudyRow("ResNet-26", "R_26", pretrained=True, pretraining="digits")
SECOND = StudyRow("ResNeXt-26 30x4d", "X_26", pretrained=True, pretraining="digits")
COMPARED = (
    "MODEL.WEIGHTS",
    "MODEL.RESNETS.VARIANT",
    "MODEL.RESNETS.DEPTH",
    "MODEL.RESNETS.NUM_GROUPS",
    "MODEL.RESNETS.WIDTH_PER_GROUP",
)


def write_test_set(folder: Path) -> str:
    """Two classes of squares on grey images; returns JSON:IMAGES."""
    (folder / "val").mkdir(parents=True)
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}],
    }
    for number in range(NUM_IMAGES):
        name = f"{number}.png"
        Image.new("L", (64, 48), number).save(folder / "val" / name)
        content["images"].append({"id": number, "file_name": name, "height": 48, "width": 64})
        for place in range(2):
            box = [4.0 + 24 * place, 6.0 + number, 16.0, 16.0]
            content["annotations"].append(
                {
                    "id": 2 * number + place,
                    "image_id": number,
                    "category_id": (7, 3)[place],
                    "bbox": box,
                    "area": 256.0,
                    "iscrowd": 0,
                }
            )
    (folder / "val.json").write_text(json.dumps(content))
    return f"{folder / 'val.json'}:{folder / 'val'}"


def detections(test_set: str, *, missed: float, seed: int) -> list[dict[str, Any]]:
    """The ground truth a little off, a share of it missed."""
    random = np.random.default_rng([seed, int(100 * missed)])
    truth = json.loads(Path(test_set.partition(":")[0]).read_text())["annotations"]
    return [
        {
            "image_id": box["image_id"],
            "category_id": box["category_id"],
            "bbox": [side + random.uniform(-1, 1) for side in box["bbox"]],
            "score": random.uniform(0.3, 1.0),
        }
        for box in truth
        if random.uniform() >= missed
    ]


def detection_grid(
    output: Path, test_set: str, *, seeds: Sequence[int] = (0, 1), train: str = "train.json:train"
) -> Grid:
    """Two pretrained rows, as the quickstart's."""
    cells = tuple(
        Cell(row, seed, _jobs(row, seed, output, test_set, train))
        for row in (FIRST, SECOND)
        for seed in seeds
    )
    return Grid(
        title="Two of equal cost",
        kind="detection",
        scale="tiny",
        output=output,
        cells=cells,
        pairs=((FIRST, SECOND),),
        test_set=TestSet(test_set, "squares on grey"),
        compared=COMPARED,
        max_flops_difference=2.0,
        published=("table8",),
    )


def _jobs(row: StudyRow, seed: int, output: Path, test_set: str, train: str) -> tuple[Job, Job]:
    folder = output / f"{row.tag}_{seed}"
    first = make_job(
        f"{row.model}: classification",
        folder / "classification",
        f"{CONFIGS}/classification_{row.tag}.yaml",
        seed=seed,
        sets=("crops/train", "crops/val"),
    )
    weights = str(first.folder / "model_final.pth")
    second = make_job(
        f"{row.model}: detection",
        folder / "detection",
        f"{CONFIGS}/faster_rcnn_{row.tag}_FPN.yaml",
        seed=seed,
        sets=(train, test_set),
        options=("--engine", "portable"),
        overrides=("MODEL.WEIGHTS", weights),
        needs=(first.folder,),
    )
    return first, second


def finished_grid(folder: Path) -> Grid:
    """A detection study below a folder, all of whose runs are finished."""
    grid = detection_grid(folder / "study", write_test_set(folder / "data"))
    finish(grid)
    return grid


def options_for(grid: Grid, **changes: Any) -> StudyOptions:
    words = ("python", "projects/Two/run.py", "--output", str(grid.output))
    return replace(StudyOptions(grid.output, "portable", words=words, pictures=2), **changes)


def finish(grid: Grid, *, missed: tuple[float, float] = (0.5, 0.1)) -> None:
    """Writes what the runs of a detection grid would leave; the second row misses less."""
    for cell in grid.cells:
        first, second = cell.jobs
        finish_job(first, {"top1": 91.25, "top5": 99.5}, "classification")
        share = missed[cell.row == SECOND]
        boxes = detections(grid.test_set.source, missed=share, seed=cell.seed)
        finish_detection(second, grid.test_set.source, boxes)


def finish_detection(job: Job, test_set: str, boxes: list[dict[str, Any]]) -> None:
    write_results(job.folder / RESULTS_FILE, boxes)
    truth = read_ground_truth(Path(test_set.partition(":")[0]))
    finish_job(job, evaluate_boxes(truth, job.folder / RESULTS_FILE), "portable")


def finish_job(job: Job, metrics: dict[str, float | None], engine: str) -> None:
    job.folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"iteration": 20 * n + 19, "total_loss": 2.0 / (n + 1), "time": 0.25 + 0.01 * n}
        for n in range(10)
    ]
    prefix = "" if engine == "classification" else "bbox/"
    lines.append({"iteration": 199, **{f"{prefix}{name}": v for name, v in metrics.items()}})
    (job.folder / "metrics.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_record(job.folder, replace(new_record(job, code_version()), seconds=12.5))
    overrides = list(job.arguments[job.arguments.index("SEED") :])
    if "MODEL.WEIGHTS" in job.arguments:
        overrides += ["MODEL.WEIGHTS", job.arguments[job.arguments.index("MODEL.WEIGHTS") + 1]]
    cfg = load_config(job.arguments[1], overrides).cfg
    names = ["dog", "cat"] if engine == "portable" else [str(n) for n in range(10)]
    write_result(
        job.folder, cfg=cfg, engine=engine, seed=cfg.SEED, metrics=metrics, class_names=names
    )


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def change_config(job: Job, key: str, value: Any) -> None:
    """Makes a finished run look as if it had been another."""
    path = job.folder / "result.json"
    content = read(path)
    place = content["config"]
    *parents, last = key.split(".")
    for parent in parents:
        place = place[parent]
    place[last] = yaml.safe_load(str(value))
    path.write_text(json.dumps(content))
