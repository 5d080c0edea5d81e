"""The options of the verb that finds the fastest setting of this machine. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.acceleration.setting import acceleration_of_words
from resnext_det.benchmarking.sizes import DEFAULT_CONFIG, DEFAULT_SIZE, parse_size
from resnext_det.cli.json_option import add_json
from resnext_det.errors import UserError
from resnext_det.weights.readers.plain_file import check_plain_file

MODES = ("inference", "training", "both")
EPILOG = (
    "The fastest setting whose boxes (losses, for training) are near enough the exact one's is "
    "saved, in the cache folder (RESNEXT_DET_CACHE), and used by predict and train on this machine "
    "from then on; --acceleration chooses another one."
)
_CHECKPOINT = (
    "a detector's checkpoint, as model_final.pth: settings are judged by its boxes. Without one, "
    "weights are drawn for --config-file"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.epilog = EPILOG
    add = parser.add_argument
    add("checkpoint", metavar="CKPT", nargs="?", help=_CHECKPOINT)
    config = DEFAULT_CONFIG.rpartition("/")[2]
    add("--config-file", metavar="FILE", help=f"a detector's config ({config})")
    add("--images", metavar="FOLDER", type=Path, help="time on images of it (built-in photographs)")
    add("--device", metavar="DEVICE", default="auto", help="cpu, cuda, cuda:1, … (auto)")
    size = f"rows and columns that images are scaled to ({DEFAULT_SIZE})"
    add("--image", metavar="HxW", default=DEFAULT_SIZE, help=size)
    batch = "numbers of images at once; settings are chosen by the first (1 2 4 … up to memory)"
    add("--batch", metavar="N", type=int, nargs="+", default=[], help=batch)
    add("--mode", choices=MODES, default="both", help="what is timed (both)")
    add("--rounds", metavar="N", type=int, default=6, help="in which they take turns (6)")
    settings = "try these alone, each in quotes, as 'bfloat16 channels_last' (all)"
    add("--settings", metavar="WORDS", nargs="+", default=[], help=settings)
    save = "save the fastest as this machine's setting (yes, but of --settings alone)"
    add("--save", action=argparse.BooleanOptionalAction, help=save)
    add_json(parser, "all times, comparisons and conditions")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Times: see `cli.benchmark`.

    Raises:
        UserError: as there; what the command alone tells is found before torch is imported.
    """
    parse_size(args.image)
    for option, values in (("--batch", args.batch), ("--rounds", [args.rounds])):
        if any(value < 1 for value in values):
            raise UserError(f"{option} {min(values)}: give 1 or more")
    if args.save is None:
        args.save = not args.settings
    for words in args.settings:
        acceleration_of_words(words, "--settings")
    if args.checkpoint and "://" not in args.checkpoint:
        check_plain_file(Path(args.checkpoint), args.checkpoint)
    elif args.config_file:
        from resnext_det.config import find_config

        find_config(args.config_file)
    from resnext_det.cli import benchmark

    return benchmark.run(args)
