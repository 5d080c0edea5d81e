#!/usr/bin/env python
"""Times the input pipeline of classification beside torchvision's. Engine-neutral.

    python projects/InputSpeed/run.py --photographs FOLDER

writes results/cpu.json (`--json` writes another). Makes JPEGs of ImageNet's size from the
photographs, and times five pipelines over them in alternation: in one thread, and in the worker
processes that a run has by default.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch

from projects.InputSpeed.contestants import VIEWS, Work
from projects.InputSpeed.measure import Row, measure_differences, measure_passes
from projects.InputSpeed.photographs import LONG, QUALITY, SHORT, make_photographs
from resnext_det.config import get_cfg
from resnext_det.errors import UserError
from resnext_det.timing.conditions import conditions
from resnext_det.timing.results import write_results

SCRIPT = "projects/InputSpeed/run.py"
RESULT = Path(__file__).parent / "results" / "cpu.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Measures every case, and writes the JSON file after each; returns 0, or 2 on a mistake."""
    args = parse(argv)
    torch.set_num_threads(1)  # the workers' number, and that of the pipeline without any
    try:
        with tempfile.TemporaryDirectory() as folder:
            paths = make_photographs(args.photographs, Path(folder), args.count)
            measure_all(args, Path(folder), paths)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def measure_all(args: argparse.Namespace, folder: Path, paths: list[Path]) -> None:
    """Compares the pixels, then times each case."""
    result: dict[str, Any] = {"images": describe(paths)}
    result["differences"] = [measure_differences(paths, how) for how in ("bilinear", "bicubic")]
    result["rows"] = rows = []
    for workers, view in itertools.product(args.workers, VIEWS):
        # Workers take a while to start, which longer passes keep small.
        repeats = args.repeats if workers else 1
        work = Work(folder, view, workers, args.batch, repeats)
        rows.append(told(measure_passes(work, args.rounds)))
        write_results(args.json, {**conditions(SCRIPT), "simplejpeg": version(), **result})


def describe(paths: Sequence[Path]) -> dict[str, Any]:
    """Says what the images are."""
    return {
        "count": len(paths),
        "size": [LONG, SHORT],
        "quality": QUALITY,
        "mean_bytes": round(float(np.mean([path.stat().st_size for path in paths]))),
    }


def version() -> str:
    """Returns simplejpeg's version."""
    return str(simplejpeg.__version__)


def told(row: Row) -> Row:
    """Prints a case, a line for each pipeline, and returns it."""
    print(f"{row['view']}, {row['workers']} workers")
    for clock, found in row["clocks"].items():
        for name, numbers in found.items():
            images = numbers["images_per_second"]["median"]
            speed = "{median:.2f} ({low:.2f}–{high:.2f})".format_map(numbers["speed"])
            print(f"{clock:>6} {name:<26} {images:7.1f} images/s, {speed}", flush=True)
    return row


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Speed of the input pipeline")
    parser.add_argument("--photographs", type=Path, required=True, help="a folder, at any depth")
    parser.add_argument("--json", type=Path, default=RESULT)
    parser.add_argument("--count", type=int, default=400, help="JPEGs to make")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=50, help="images of a batch")
    parser.add_argument("--repeats", type=int, default=4, help="of the images in a pass of workers")
    default = [0, get_cfg().DATALOADER.NUM_WORKERS]
    parser.add_argument("--workers", type=int, nargs="+", default=default, help="processes")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
