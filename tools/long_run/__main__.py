"""Trains for long and predicts often, and looks whether memory or handles grow. Engine-neutral.

    python -m tools.long_run --iterations 20000 --predictions 20000 --json FILE

A tiny detector of the portable engine is trained by `train_net.py`, with a worker for its data,
checkpoints and evaluations; then it predicts, image by image. Both are processes of their own,
sampled from outside through Linux's /proc. Exit status: 0, or 1 where something grows.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from resnext_det.timing.conditions import conditions
from resnext_det.whole_files import write_text_safe
from tools.long_run.predictions import COUNTED
from tools.long_run.samples import Sample, watch, workers_mib
from tools.long_run.trend import BOUND_MIB, growth, rise
from tools.tiny_runs import ROOT, TinyRun, environment

KEYS = {
    "SOLVER.IMS_PER_BATCH": 1,
    "SOLVER.BASE_LR": 0.001,
    "SOLVER.CHECKPOINT_PERIOD": 500,
    "SOLVER.KEEP_CHECKPOINTS": 2,
    "TEST.EVAL_PERIOD": 1000,
    "DATALOADER.NUM_WORKERS": 1,
    "INPUT.MIN_SIZE_TRAIN": "[32]",
    "INPUT.MIN_SIZE_TEST": 32,
    "MODEL.RESNETS.OUT_FEATURES": ["res4", "res5"],
    "MODEL.FPN.IN_FEATURES": ["res4", "res5"],
    "MODEL.ANCHOR_GENERATOR.SIZES": [[16], [32], [64]],
    "MODEL.RPN.IN_FEATURES": ["p4", "p5", "p6"],
    "MODEL.ROI_HEADS.IN_FEATURES": ["p4", "p5"],
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 4,
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": 50,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 50,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": 20,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 20,
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": 32,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 16,
}
_SHOWN = 60
"""Samples of each part that the JSON keeps."""


def train(folder: Path, iterations: int, period: float) -> list[Sample]:
    """Trains in `folder / "run"` and returns the samples.

    Raises:
        RuntimeError: the run failed.
    """
    steps = [iterations * 2 // 3]
    keys = {**KEYS, "SOLVER.MAX_ITER": iterations, "SOLVER.STEPS": steps}
    tiny = TinyRun("portable", folder, keys)
    tiny.write()
    process = tiny.start("run")
    found = watch(process, folder / "run", lambda: _trained(folder / "run"), period)
    return _checked(process, found, folder / "run.txt")


def predict(folder: Path, predictions: int, period: float) -> list[Sample]:
    """Predicts with what has been trained and returns the samples.

    Raises:
        RuntimeError: it failed.
    """
    words = ["-m", "tools.long_run.predictions", str(folder), str(predictions)]
    with (folder / "predictions.txt").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, env=environment(), stdout=said, stderr=said
        )
    counted = folder / COUNTED
    found = watch(process, folder / "predictions", lambda: _number_in(counted), period)
    return _checked(process, found, folder / "predictions.txt")


def summary(samples: Sequence[Sample]) -> dict[str, Any]:
    """Returns trends, verdict and some of the samples."""
    total = samples[-1].done
    # What comes after the last one is the end of a run: a last evaluation, workers that leave.
    working = [sample for sample in samples if 0 < sample.done < total]
    done = [sample.done for sample in working]
    parts: dict[str, Callable[[Sample], int]] = {
        "handles": lambda sample: sample.handles,
        "threads": lambda sample: sample.threads,
        "children": lambda sample: len(sample.children_mib),
        "folder_files": lambda sample: sample.folder_files,
    }
    memory = {"main": [sample.main_mib for sample in working]}
    if any(workers := workers_mib(working)):
        memory["workers"] = workers
    found = {
        "done": total,
        "seconds": samples[-1].seconds,
        "samples": len(working),
        "memory": {name: growth(done, values) for name, values in memory.items()},
        **{name: rise([count(sample) for sample in working]) for name, count in parts.items()},
    }
    grows = [name for name, fit in found["memory"].items() if fit["grows"]]
    rises = [name for name in ("handles", "threads", "children") if found[name]["rises"]]
    step = max(1, len(working) // _SHOWN)
    return {**found, "not_flat": [*grows, *rises], "each": _rows(working[::step])}


def _rows(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """The samples, with their children summed."""
    return [
        vars(replace(sample, children_mib={}))
        | {"children_mib": round(sum(sample.children_mib.values()), 1)}
        for sample in samples
    ]


def _checked(process: subprocess.Popen[bytes], found: list[Sample], said: Path) -> list[Sample]:
    if process.returncode:
        last = said.read_text(errors="replace").splitlines()[-20:]
        raise RuntimeError("\n".join([f"exit status {process.returncode}", *last]))
    return found


def _trained(folder: Path) -> int:
    """How many iterations metrics.json tells of."""
    path = folder / "metrics.json"
    lines = path.read_text().splitlines() if path.is_file() else []
    try:
        return int(json.loads(lines[-1])["iteration"]) + 1
    except (IndexError, ValueError):
        return 0


def _number_in(path: Path) -> int:
    text = path.read_text() if path.is_file() else ""
    return int(text or 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs both and writes the JSON.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="tools.long_run", description=__doc__)
    parser.add_argument("--iterations", type=int, default=20000)
    parser.add_argument("--predictions", type=int, default=20000)
    parser.add_argument("--period", type=float, default=1.0, help="seconds between two samples")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="long_run_") as name:
        folder = Path(name)
        found = {
            "training": summary(train(folder, args.iterations, args.period)),
            "prediction": summary(predict(folder, args.predictions, args.period)),
        }
    facts = conditions("-m tools.long_run")
    command = f"--iterations {args.iterations} --predictions {args.predictions}"
    content = {
        **facts,
        "command": f"python -m tools.long_run {command}",
        "threads": 1,
        "keys": KEYS,
        "bound_mib_per_1000": BOUND_MIB,
        "is_flat": not any(part["not_flat"] for part in found.values()),
        **found,
    }
    text = _as_text(content)
    print(text)
    if args.json:
        write_text_safe(args.json, text)
    return 0 if content["is_flat"] else 1


def _as_text(content: dict[str, Any]) -> str:
    """The JSON, each sample on a line of its own."""
    rows = {}
    shown = {**content}
    for name in ("training", "prediction"):
        rows[name] = [json.dumps(row) for row in content[name]["each"]]
        shown[name] = {**content[name], "each": f"@{name}@"}
    text = json.dumps(shown, indent=1)
    for name, lines in rows.items():
        text = text.replace(f'"@{name}@"', "[\n   " + ",\n   ".join(lines) + "\n  ]")
    return text + "\n"


if __name__ == "__main__":
    sys.exit(main())
