#!/usr/bin/env python
"""Times training steps of detectors against Detectron2's. Engine-neutral; needs Detectron2.

    python projects/TrainingSpeed/detectors.py --json FILE
    python projects/TrainingSpeed/detectors.py --device cuda --batch 8 --json FILE

In one process, in alternation, with the same weights, images and draws: Detectron2's own detector
in float32, as is its default, and in bfloat16; ours exact, and under each of `--words`. The losses
of the first updates stand beside Detectron2's, and beside how far Detectron2's own lie apart: with
one thread and with all on a CPU, in two runs on a GPU.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from projects.TrainingSpeed.detector_contestants import (
    WIDTHS,
    Contestant,
    State,
    Work,
    calibrated_state,
)
from resnext_det.errors import UserError
from resnext_det.timing.alternation import Rounds, alternate
from resnext_det.timing.conditions import conditions
from resnext_det.timing.intervals import median_interval, ratio
from resnext_det.timing.results import write_results

SCRIPT = "projects/TrainingSpeed/detectors.py"
THEIRS, HALF = "Detectron2", "Detectron2, bfloat16"
WORDS = {
    "cpu": [
        "channels_last fold_norms fast_pooling sampled_anchors",
        "bfloat16 channels_last fold_norms fast_pooling sampled_anchors",
    ],
    "cuda": [
        "channels_last fast_suppression",
        "bfloat16 channels_last fast_suppression",
        "bfloat16 channels_last fold_norms fast_suppression compile",
    ],
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, and writes the JSON file after each part; returns 0, or 2 where it cannot."""
    args = parse(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        print("error: --device cuda: torch finds no GPU here", file=sys.stderr)
        return 2
    work = Work(args.net, args.height, args.width, args.batch, args.device)
    try:
        result = {"work": asdict(work), "tf32": torch.backends.cudnn.allow_tf32}
        for part in measured(work, args):
            result |= part
            write_results(args.json, {**conditions(SCRIPT), **result})
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def measured(work: Work, args: argparse.Namespace) -> Any:
    """Yields what belongs into the results file, part by part."""
    state, words = calibrated_state(work), args.words or WORDS[work.device]
    builders = contestants(work, state, words)
    first = {}
    if args.updates:
        first = first_losses(work, builders, args.updates)
        yield {"losses": first, "apart": apart(first)}
        print("\n".join(told_losses(apart(first))), flush=True)
    built, skipped = built_and_warm(builders, args.warm_up)
    rounds = alternate(
        {name: contestant.step for name, contestant in built.items()},
        args.rounds,
        cuda=work.device == "cuda",
    )
    memory = {name: peak(c) for name, c in built.items()} if work.device == "cuda" else {}
    found = {"skipped": skipped, "clocks": summary(rounds), "peak_mib": memory, "rounds": rounds}
    print("\n".join(told(found)), flush=True)
    yield found


def contestants(
    work: Work, state: State, words: Sequence[str]
) -> dict[str, Callable[[], Contestant]]:
    """Returns name -> what builds it, Detectron2's default first."""
    return {
        THEIRS: lambda: Contestant(work, state, "exact", theirs=True),
        HALF: lambda: Contestant(work, state, "bfloat16", theirs=True),
        **{
            f"ours, {setting}": lambda setting=setting: Contestant(work, state, setting)
            for setting in ("exact", *words)
        },
    }


def first_losses(
    work: Work, builders: Mapping[str, Callable[[], Contestant]], updates: int
) -> dict[str, list[dict[str, float]]]:
    """Returns the losses of the first updates of each contestant, and of Detectron2's once more."""
    threads, once_more = torch.get_num_threads(), f"{THEIRS}, once more"
    if work.device == "cpu":
        torch.set_num_threads(1)
    found = {once_more: builders[THEIRS]().first_losses(updates)}
    torch.set_num_threads(threads)
    for name, build in builders.items():
        if "compile" not in name:  # the numbers are those of the same setting without
            found[name] = build().first_losses(updates)
    return found


def apart(losses: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, list[float]]:
    """Returns how far total losses are from Detectron2's, as a share of them, by update."""
    totals = {n: [sum(update.values()) for update in updates] for n, updates in losses.items()}
    return {
        name: [abs(a - b) / b for a, b in zip(values, totals[THEIRS], strict=True)]
        for name, values in totals.items()
        if name != THEIRS
    }


def built_and_warm(
    builders: Mapping[str, Callable[[], Contestant]], warm_up: int
) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Builds contestants and takes a few steps; those that cannot are returned with reasons."""
    built, skipped = {}, {}
    for name, build in builders.items():
        try:
            contestant = build()
            for _ in range(warm_up):
                contestant.step()
            built[name] = contestant
        except (UserError, RuntimeError) as error:
            if name == THEIRS:
                raise
            skipped[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return built, skipped


def peak(contestant: Contestant) -> float:
    """Returns what a step takes of the GPU's memory beyond what lay there before it, in MiB."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    contestant.step()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def summary(rounds: Rounds) -> dict[str, Any]:
    """Returns clock -> name -> `seconds`, and `speed`: how many times as fast as Detectron2.

    Both are medians over the rounds with 95 % intervals.
    """
    return {
        clock: {
            name: {
                "seconds": asdict(median_interval([one[name] for one in found])),
                "speed": asdict(ratio(found, THEIRS, name)),
            }
            for name in found[0]
        }
        for clock, found in rounds.items()
        if found
    }


def told(found: Mapping[str, Any]) -> list[str]:
    """Says each contestant's time in a line."""
    lines = []
    for clock, names in found["clocks"].items():
        for name, numbers in names.items():
            speed = "{median:.3f} ({low:.3f}–{high:.3f})".format_map(numbers["speed"])
            memory = found["peak_mib"].get(name)
            more = f", {memory:.0f} MiB" if memory else ""
            ms = 1e3 * numbers["seconds"]["median"]
            lines.append(f"{clock:>4} {name:<80} {ms:9.1f} ms, {speed}{more}")
    return [*lines, *(f"     {name:<80} {why}" for name, why in found["skipped"].items())]


def told_losses(found: Mapping[str, Sequence[float]]) -> list[str]:
    """Says in a line for each contestant how far its losses are from Detectron2's."""
    return [f"loss {n:<80} {' '.join(f'{v:.1e}' for v in values)}" for n, values in found.items()]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Training steps of detectors and of Detectron2's")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--net", default="X_50_32x4d", choices=list(WIDTHS))
    parser.add_argument("--height", type=int, default=800, help="of the images, in pixels")
    parser.add_argument("--width", type=int, default=1216)
    parser.add_argument("--batch", type=int, default=2, help="images of one step")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--warm-up", type=int, default=2, help="steps of each before the rounds")
    parser.add_argument("--updates", type=int, default=5, help="whose losses are compared; 0: none")
    parser.add_argument(
        "--words", action="append", help="a setting of ours; repeatable; default: by the device"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
