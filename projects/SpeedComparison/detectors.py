#!/usr/bin/env python
"""Times whole detectors, from image to boxes: Detectron2's, ours exact, ours accelerated.

    python projects/SpeedComparison/detectors.py --json FILE

All in alternation, each in a process of its own, with the same weights and images; and the least
time that the convolutions could take on this machine. Without Detectron2 ours alone are timed.
Engine-neutral.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from projects.SpeedComparison.detector_cases import Case, Subject, inference_cases
from projects.SpeedComparison.roofline import layers_of, measure_peaks, roofline
from resnext_det.acceleration.setting import acceleration_of_words
from resnext_det.benchmarking.sizes import DEFAULT_CONFIG, DEFAULT_SIZE, Size, parse_size
from resnext_det.benchmarking.work import Work, work_of_checkpoint, work_of_config
from resnext_det.engines.base import resolve_engine
from resnext_det.errors import UserError
from resnext_det.export.pictures import built_in_pictures
from resnext_det.timing.conditions import conditions
from resnext_det.timing.processes import ContestantError
from resnext_det.timing.results import write_results

SCRIPT = "projects/SpeedComparison/detectors.py"
_NUM_IMAGES = 2
_SETTINGS = {
    "cpu": (
        "float32 channels_last fold_norms fast_pooling winograd keep_memory",
        "bfloat16 channels_last fold_norms fast_pooling keep_memory",
    ),
    "cuda": (
        "float32 channels_last fold_norms fast_pooling cuda_graphs",
        "bfloat16 channels_last fold_norms fast_pooling cuda_graphs",
        "float16 channels_last fold_norms fast_pooling cuda_graphs",
    ),
}
"""What is timed where no settings are named, by device."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, and writes the JSON file after each case."""
    args = parse(argv)
    try:
        run(args)
    except (UserError, ContestantError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def run(args: argparse.Namespace) -> None:
    """Measures every batch size."""
    settings = [acceleration_of_words(words, "--settings") for words in args.settings]
    work = build_work(args)
    subject = Subject(work, args.rounds, args.warm_up)
    cases: list[Case] = []
    result: dict[str, Any] = {"image": [args.height, args.width], "trained": work.trained}
    result["roofline"] = bounds(work, args)
    for case in inference_cases(subject, settings, args.batch, result["roofline"]):
        print(summary(case), flush=True)
        cases.append(case)
        write_results(args.json, {**conditions(SCRIPT), **result, "inference": cases})


def build_work(args: argparse.Namespace) -> Work:
    """Reads the checkpoint, or draws weights for the config."""
    engine, size = resolve_engine("portable"), Size(args.height, args.width)
    images = built_in_pictures()[:_NUM_IMAGES]
    if args.checkpoint:
        return work_of_checkpoint(
            args.checkpoint, engine, device=args.device, images=images, size=size
        )
    keys = {}
    if args.tiny:
        keys = {
            "MODEL.RESNETS.RES2_OUT_CHANNELS": 32,
            "MODEL.RESNETS.STEM_OUT_CHANNELS": 16,
            "MODEL.RESNETS.WIDTH_PER_GROUP": 1,
            "MODEL.FPN.OUT_CHANNELS": 32,
            "MODEL.ROI_BOX_HEAD.FC_DIM": 32,
        }
    return work_of_config(
        args.config_file, engine, device=args.device, images=images, size=size, keys=keys
    )


def bounds(work: Work, args: argparse.Namespace) -> dict[str, Any]:
    """Counts the work of one image, and measures the machine's peaks."""
    engine = resolve_engine("portable")
    model = work.build_model(engine)
    predict = work.predictor(engine, model)
    layers = layers_of(model, lambda: predict(work.batch(1)))
    side, megabytes = (8192, 1024) if args.device == "cuda" else (2048, 256)
    if args.tiny:
        side, megabytes = 64, 1
    return roofline(layers, measure_peaks(args.device, side, megabytes))


def summary(case: Case) -> str:
    """Says one case in some lines."""
    lines = [f"batch {case['batch']}"]
    clock = next(iter(case["clocks"]))
    for name, found in case["clocks"][clock].items():
        line = f"  {name:<60} {1000 * found['seconds']['median']:8.1f} ms"
        if found["speed"]:
            line += f"  {found['speed']['median']:.2f} times as fast"
        lines.append(line)
    lines += [f"  {name}: left out: {reason}" for name, reason in case["skipped"].items()]
    return "\n".join(lines)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Speed of whole detectors")
    add = parser.add_argument
    add("--json", type=Path, required=True)
    add("--config-file", default=DEFAULT_CONFIG)
    add("--checkpoint", help="a trained detector's; weights are drawn otherwise")
    add("--tiny", action="store_true", help="a tiny network, for tests")
    add("--device", default="cpu", choices=("cpu", "cuda"))
    add("--image", default=DEFAULT_SIZE, metavar="HxW")
    add("--batch", nargs="+", type=int, default=[1], metavar="N")
    add("--settings", nargs="+", metavar="WORDS", help="each in quotes")
    add("--rounds", type=int, default=12)
    add("--warm-up", type=int, default=2, help="steps of each before the rounds")
    args = parser.parse_args(argv)
    size = parse_size(args.image)
    args.height, args.width = size.height, size.width
    args.settings = args.settings or _SETTINGS[args.device]
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU here")
    return args


if __name__ == "__main__":
    sys.exit(main())
