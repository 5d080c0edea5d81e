#!/usr/bin/env python
"""Times COCO AP from files to numbers beside pycocotools. Engine-neutral.

    python projects/EvaluationSpeed/run.py

writes results/cpu.json (`--json` writes another). The set is made, of val2017's size: 5,000 images,
36,781 objects of 80 classes, 359,000 detections. Exit status 1 where any of the 12 numbers differs.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from projects.EvaluationSpeed.made_set import make_set
from resnext_det.analysis.analyse import Options, analyse
from resnext_det.evaluation.box_arrays import read_rows, read_truth
from resnext_det.evaluation.coco_ap import METRICS, evaluate_arrays, evaluate_coco, stats_of
from resnext_det.timing.alternation import alternate
from resnext_det.timing.conditions import conditions
from resnext_det.timing.intervals import median_interval, ratio
from resnext_det.timing.results import write_results

SCRIPT = "projects/EvaluationSpeed/run.py"
RESULT = Path(__file__).parent / "results" / "cpu.json"
OURS, ALL_OF_OURS, THEIRS = "ours", "ours, all of `evaluate`", "pycocotools"


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, writes the JSON file, and says whether the numbers are the same."""
    args = parse(argv)
    size = {key: getattr(args, key) for key in ("images", "objects", "detections", "classes")}
    with tempfile.TemporaryDirectory() as folder:
        gt, dt = make_set(Path(folder), **size)
        ours = own_numbers(gt, dt)
        theirs = reference(gt, dt)
        steps = {
            OURS: lambda: evaluate_coco(gt, dt),
            ALL_OF_OURS: lambda: analyse(read_truth(gt), dt, Options(num_samples=0)),
            THEIRS: lambda: reference(gt, dt),
        }
        rounds = alternate(steps, args.rounds)
    largest = max(abs(one - other) for one, other in zip(ours, theirs, strict=True))
    clocks = {
        clock: {
            name: {
                "seconds": asdict(median_interval([one[name] for one in found])),
                "speed": asdict(ratio(found, THEIRS, name)),
            }
            for name in steps
        }
        for clock, found in rounds.items()
    }
    numbers = {"ours": dict(zip(METRICS, ours, strict=True)), "largest_difference": largest}
    result = {**conditions(SCRIPT), "set": size, "numbers": numbers}
    write_results(args.json, {**result, "clocks": clocks, "rounds": rounds})
    print(json.dumps({"largest_difference": largest, "wall": clocks["wall"]}, indent=1))
    return 0 if largest == 0 else 1


def own_numbers(gt: Path, dt: Path) -> list[float]:
    """Returns our 12 numbers, from the files; -1 where undefined."""
    truth = read_truth(gt)
    found = evaluate_arrays(truth, read_rows(dt, truth)).eval
    return stats_of(found["precision"], found["recall"]).tolist()


def reference(gt: Path, dt: Path) -> list[float]:
    """Returns pycocotools' 12 numbers, from the files; -1 where undefined."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(gt))
        evaluation = COCOeval(truth, truth.loadRes(str(dt)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Speed of COCO AP, from files to numbers")
    parser.add_argument("--json", type=Path, default=RESULT)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--objects", type=int, default=36_781)
    parser.add_argument("--detections", type=int, default=359_000)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
