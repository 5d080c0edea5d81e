#!/usr/bin/env python
"""The paper's detection comparison, at the scale one has. Engine-neutral.

    python projects/DetectionComparison/run.py --scale mini|coco|paper-c4 [--seeds N] [--rows TAG …]

Trains a ResNet and a ResNeXt of equal complexity in Faster R-CNN from classification weights,
at every seed, evaluates them, and writes result.json and report.html. Run again, it continues
where it was; finished runs are kept.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from projects.DetectionComparison.scales import SCALES, Asked, build_grid
from projects.studies.command import study_main
from projects.studies.grid import Grid
from projects.studies.options import StudyOptions
from resnext_det.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the comparison.

    Returns:
        0; 1 where a run failed or a check is not met; 2 after a mistake the user can mend;
        130 after an interrupt.
    """
    parser = argparse.ArgumentParser(
        prog="comparison", description="ResNet and ResNeXt in Faster R-CNN, as in Table 8."
    )
    add_options(parser)
    words = sys.argv[1:] if argv is None else argv
    output = Path("output/comparison_SCALE".replace("SCALE", _scale(words)))
    return study_main(parser, argv, make_grid, output=output)


def make_grid(args: argparse.Namespace, options: StudyOptions, console: Console) -> Grid:
    """Makes the built-in data where they are needed, and says what is trained.

    Raises:
        UserError: an unknown row, missing data or weights, an option of another scale, an engine
            that cannot.
    """
    check_options(args)
    return build_grid(Asked.of(args), options, console)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what this project alone asks."""
    add = parser.add_argument
    add("--scale", choices=SCALES, default="mini", help="mini: small networks (the default)")
    mini = parser.add_argument_group("--scale mini, on data of your own")
    mini.add_argument("--classification", metavar="TRAIN_FOLDER:VAL_FOLDER", help="class folders")
    mini.add_argument("--train-data", metavar="JSON:IMAGES", help="COCO format")
    mini.add_argument("--test-data", metavar="JSON:IMAGES", help="COCO format")
    mini.add_argument("--crop", type=int, metavar="PX", help="side of a classifier's pictures (48)")
    size = "a detector's pictures: shortest side, and bound of the longest (192 256)"
    mini.add_argument("--image-size", type=int, nargs=2, metavar="PX", help=size)
    anchors = "of p2 to p6, pixels of the scaled picture (16 40 80 120 192)"
    mini.add_argument("--anchors", type=int, nargs="+", metavar="PX", help=anchors)
    length = parser.add_argument_group("--scale mini, another length")
    length.add_argument("--pretrain-iterations", type=int, metavar="N", help="of each pretraining")
    length.add_argument("--iterations", type=int, metavar="N", help="of each fine-tuning")
    full = parser.add_argument_group("--scale coco and paper-c4")
    what = "classification weights of rows; others start from those that their configs name"
    full.add_argument("--weights", nargs="+", default=[], metavar="TAG=FILE", help=what)
    pretrain = "train rows without --weights on ImageNet first, by the paper's recipe"
    full.add_argument("--pretrain", action="store_true", help=pretrain)


_MINI = ("classification", "train_data", "test_data", "crop", "image_size", "anchors")
_LENGTHS = ("pretrain_iterations", "iterations")


def check_options(args: argparse.Namespace) -> None:
    """Refuses options that the scale does not have.

    Raises:
        UserError: one is given.
    """
    foreign = ("weights", "pretrain") if args.scale == "mini" else (*_MINI, *_LENGTHS)
    if given := _given(args, foreign):
        raise UserError(f"{given}: --scale {args.scale} has no such option")
    sizes = _given(args, ("crop", "image_size", "anchors"))
    if sizes and not args.classification:
        raise UserError(f"{sizes}: of own data; give --classification, too")


def _given(args: argparse.Namespace, names: Sequence[str]) -> str:
    """Returns those of some options that were given, as they are typed; 0 is given, too."""
    found = [name for name in names if getattr(args, name) not in (None, False, [])]
    return ", ".join(f"--{name.replace('_', '-')}" for name in found)


def _scale(words: Sequence[str]) -> str:
    """Reads --scale ahead of all else: the study's folder is named after it."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--scale", default="mini")
    return str(parser.parse_known_args(list(words))[0].scale)


if __name__ == "__main__":
    sys.exit(main())
