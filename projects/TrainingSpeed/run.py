#!/usr/bin/env python
"""Times a training step of ResNeXt-50 beside others' and ResNet-50's. Engine-neutral.

    python projects/TrainingSpeed/run.py --device cuda --batch 256

writes results/cuda.json (`--json` writes another), and each comparison in a line. What a machine
cannot run is skipped with a reason.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from projects.TrainingSpeed.contestants import OUR_RESNET, OURS, RECIPE, Contestant, Work
from projects.TrainingSpeed.measure import (
    Comparison,
    Effort,
    beside_others,
    each_alone,
    one_upon_another,
)
from projects.TrainingSpeed.options import OPTIONS, PLAIN, Setting, add
from projects.TrainingSpeed.profiling import where_time_goes
from resnext_det.timing.conditions import conditions
from resnext_det.timing.results import write_results

SCRIPT = "projects/TrainingSpeed/run.py"
RESULTS = Path(__file__).parent / "results"
PARTS = ("profile", "alone", "together", "others")


def main(argv: Sequence[str] | None = None) -> int:
    """Measures all parts, and writes the JSON file after each; returns 0, or 2 without a GPU."""
    args = parse(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        print("error: --device cuda: torch finds no GPU here", file=sys.stderr)
        return 2
    path = args.json or RESULTS / f"{args.device}.json"
    work = Work(args.batch, args.size, args.device)
    effort = Effort(args.rounds, args.warm_up, args.without)
    result: dict[str, Any] = {"recipe": RECIPE, "images": vars(work), "rounds": effort.rounds}
    for part in args.parts:
        result |= measure(part, result, work, effort)
        write_results(path, {**conditions(SCRIPT), "tf32": tf32(), **result})
    return 0


def measure(part: str, before: dict[str, Any], work: Work, effort: Effort) -> dict[str, Any]:
    """Measures one of PARTS.

    Args:
        part: its name.
        before: what was found in the parts before: where "together" is among them, its setting
            is that of "others".
        work: size of a step.
        effort: how long.

    Returns:
        What belongs into the results file.
    """
    if part == "profile":
        return {"profile": where_time_goes(profiled(), work, effort.warm_up)}
    if part == "alone":
        return {"alone": told(each_alone(work, effort))}
    if part == "together":
        comparisons, setting = one_upon_another(work, effort)
        return {"together": [told(found) for found in comparisons], "tuned": vars(setting)}
    others = {"others_plain": told(beside_others(PLAIN, work, effort))}
    tuned = Setting(**before.get("tuned", {}))
    if tuned != PLAIN:
        others["others_tuned"] = told(beside_others(tuned, work, effort))
    return others


def profiled() -> dict[str, Contestant]:
    """Returns what is profiled: both nets, without torch.compile, whose kernels are mixed."""
    quick = add(add(PLAIN, "bf16"), "channels_last")
    return {
        "ResNeXt-50": Contestant(OURS),
        "ResNet-50": Contestant(OUR_RESNET),
        "ResNeXt-50, bf16, channels_last": Contestant(OURS, quick),
        "ResNet-50, bf16, channels_last": Contestant(OUR_RESNET, quick),
        "ResNeXt-50, bf16, channels_last, pack4": Contestant(OURS, add(quick, "pack4")),
    }


def told(comparison: Comparison) -> Comparison:
    """Prints a comparison, a line for each contestant, and returns it."""
    for clock, found in comparison["clocks"].items():
        for name, numbers in found.items():
            speed, images = numbers["speed"], numbers["images_per_second"]["median"]
            ratio = "{median:.3f} ({low:.3f}–{high:.3f})".format_map(speed) if speed else "–"
            print(f"{clock:>4} {name:<40} {images:8.2f} images/s, {ratio}", flush=True)
    for name, reason in comparison["skipped"].items():
        print(f"     {name:<40} skipped: {reason}", flush=True)
    return comparison


def tf32() -> bool:
    """Tells whether "float32" convolutions on a GPU round their factors to TF32, as is default."""
    return torch.backends.cudnn.allow_tf32


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Speed of a training step of ResNeXt-50")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--batch", type=int, default=256, help="images of one step")
    parser.add_argument("--size", type=int, default=224, help="of the images, in pixels")
    parser.add_argument("--rounds", type=int, default=14, help="of each comparison")
    parser.add_argument("--warm-up", type=int, default=3, help="steps of each before the rounds")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--without", nargs="+", choices=list(OPTIONS), default=[])
    parser.add_argument("--json", type=Path, help="default: results/DEVICE.json")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
