#!/usr/bin/env python
"""Tries this project's backbone in a public detector, and keeps what came out. Engine-neutral.

    python projects/OtherDetectors/trial.py SparseR-CNN path/to/checkout \
        --data annotations.json:images/ --json projects/OtherDetectors/results/sparse_rcnn.json

Two runs of the detector's own training script: `full`, its own config with a ResNeXt-50 32x4d of
real size that starts from a file of this project's classifier, and `small`, a net that learns four
images by heart. Each trains, then evaluates on the images it was trained on.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from projects.OtherDetectors.data import write_coco_folder
from projects.OtherDetectors.launch import find
from projects.OtherDetectors.settings import SETTINGS, Keys, as_arguments, full_keys, small_keys
from resnext_det import build_classifier
from resnext_det.errors import UserError
from resnext_det.evaluation.coco_ap import evaluate_coco
from resnext_det.training.result import finite_or_null, versions

LAUNCH = Path(__file__).with_name("launch.py")
Run = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the trial; returns 1 where a check is not met, 2 after a mistake of the user."""
    args = parse(argv)
    try:
        result = trial(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(finite_or_null(result), indent=2) + "\n")
    print(json.dumps(result["checks"], indent=2))
    return 0 if all(result["checks"].values()) else 1


def trial(args: argparse.Namespace) -> dict[str, Any]:
    """Prepares data and weights, runs both nets, and says what was met."""
    find([args.detector, str(args.checkout)])
    annotations, _, images = args.data.rpartition(":")
    write_coco_folder(Path(annotations), Path(images), args.work / "data", args.images)
    weights = write_classifier(args.work / "classifier.pth")
    runs = {
        "full": run(args, "full", full_keys(args.detector, str(weights))),
        "small": run(args, "small", small_keys(args.detector)),
    }
    runs["full"]["frozen_tensors"] = frozen_tensors(args.work / "full", weights)
    return {
        "detector": args.detector,
        "commit": git_commit(args.checkout),
        "versions": versions(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "images": args.images,
        "runs": runs,
        "checks": checks(runs),
    }


def write_classifier(path: Path) -> Path:
    """Writes a checkpoint as this project's classification runs do, with drawn numbers."""
    torch.manual_seed(0)
    state = build_classifier("resnext50_32x4d", norm="GN").state_dict()
    torch.save({"model": state, "matching_heuristics": True}, path)
    return path


def run(args: argparse.Namespace, name: str, keys: Keys) -> Run:
    """Trains and evaluates one net in a process of its own, and reads what it wrote.

    Raises:
        UserError: the detector's script fails.
    """
    output, log = args.work / name, args.work / f"{name}.txt"
    shutil.rmtree(output, ignore_errors=True)
    config = SETTINGS[args.detector].config
    command = [sys.executable, str(LAUNCH), args.detector, str(args.checkout)]
    command += ["--config-file", str(args.checkout / config)]
    command += as_arguments(keys | {"OUTPUT_DIR": str(output)})
    environment = {**os.environ, "DETECTRON2_DATASETS": str(args.work / "data")}
    with log.open("w") as file:
        finished = subprocess.run(command, env=environment, stdout=file, stderr=file)
    if finished.returncode:
        raise UserError(f"{args.detector}'s training script failed; what it printed is in {log}")
    named = {key: Path(str(v)).name if key == "MODEL.WEIGHTS" else v for key, v in keys.items()}
    return {"config": config, "keys": named, **read_run(output)}


def read_run(output: Path) -> Run:
    """Reads losses, metrics and the number of detections from a run's folder."""
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    losses = {line["iteration"]: line["total_loss"] for line in lines if "total_loss" in line}
    detections = next(output.glob("inference*/coco_instances_results.json"))
    found = json.loads(detections.read_text())
    truth = output.parent / "data/coco/annotations/instances_val2017.json"
    return {
        "losses": losses,
        "detections": len(found),
        "AP50_on_the_training_images": evaluate_coco(truth, detections)["AP50"],
    }


def frozen_tensors(output: Path, weights: Path) -> dict[str, int]:
    """Counts the frozen tensors that the run still holds as the classifier's file has them."""
    trained = torch.load(output / "model_final.pth", map_location="cpu", weights_only=True)["model"]
    file = torch.load(weights, weights_only=True)["model"]
    frozen = {k: v for k, v in file.items() if k.startswith(("stem.", "res2."))}
    equal = [k for k, v in frozen.items() if torch.equal(trained[f"backbone.bottom_up.{k}"], v)]
    return {"in_the_file": len(frozen), "equal_after_training": len(equal)}


def checks(runs: dict[str, Run]) -> dict[str, bool]:
    """What has to hold for the trial to count as passed."""
    frozen = runs["full"]["frozen_tensors"]
    return {
        "the classifier's weights arrived": frozen["in_the_file"] == frozen["equal_after_training"],
        **{f"{name}: the loss falls": falls(run["losses"]) for name, run in runs.items()},
        **{f"{name}: it detects": run["detections"] > 0 for name, run in runs.items()},
    }


def falls(losses: Mapping[int, float]) -> bool:
    """Tells whether all losses, by iteration, are finite and the last is below the first."""
    values = [losses[iteration] for iteration in sorted(losses)]
    return len(values) > 1 and all(map(math.isfinite, values)) and values[-1] < values[0]


def git_commit(checkout: Path) -> str:
    """Returns the commit that a checkout is at."""
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("detector", choices=SETTINGS)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--data", required=True, metavar="ANNOTATIONS:IMAGES")
    parser.add_argument("--images", type=int, default=4, help="how many to train on")
    parser.add_argument("--work", type=Path, default=Path("output/OtherDetectors"))
    parser.add_argument("--json", type=Path, required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
