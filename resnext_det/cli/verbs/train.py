"""The options of the verb that trains or evaluates, which are train_net.py's. Engine-neutral."""

import argparse
from collections.abc import Sequence

from resnext_det.cli import VERBS
from resnext_det.cli.errors import report_errors
from resnext_det.cli.offline import add_offline
from resnext_det.training.place import TIMEOUT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options, named as in Detectron2's `train_net.py`."""
    add = parser.add_argument
    config_help = "a path or resnext_det://NAME, .yaml or (Detectron2's LazyConfig) .py"
    add("--config-file", required=True, metavar="FILE", help=config_help)
    add("--engine", choices=("auto", "d2", "portable"), default="auto", help="detection engine")
    goes_on = parser.add_mutually_exclusive_group()
    resume_help = "continue the run in OUTPUT_DIR"
    goes_on.add_argument("--resume", action="store_true", help=resume_help)
    auto_help = "continue the run in OUTPUT_DIR, or start it where it has no checkpoint yet"
    goes_on.add_argument(
        "--auto-resume", dest="resume", action="store_const", const="auto", help=auto_help
    )
    add("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS, do not train")
    data_help = (
        "a data set: NAME=annotations.json:images/ (a panoptic one goes on with "
        ":panoptic.json:panoptic_png/:stuff_png/), or to classify NAME=FOLDER (class folders or "
        "shards), NAME=FOLDER/train-{000000..000146}.tar or NAME=http://SERVER/index.json; "
        "repeatable"
    )
    add("--train-data", action="append", default=[], metavar="NAME=…", help=data_help)
    add("--test-data", action="append", default=[], metavar="NAME=…", help=data_help)
    speed_help = (
        "what makes training faster with equal losses but for rounding, as in 'channels_last "
        "fold_norms'; exact: none; auto (the default): the setting saved for this machine, if any; "
        "keys that you give win; --eval-only is exact unless words are given"
    )
    add("--acceleration", default="auto", metavar="WORDS", help=speed_help)
    add("--num-gpus", type=int, default=1, help="GPUs, or without any processes, on this machine")
    add("--num-machines", type=int, default=1, help="machines in all")
    add("--machine-rank", type=int, default=0, help="this machine's place, from 0")
    add("--dist-url", default="auto", help="tcp://HOST:PORT of machine 0; auto on one machine")
    wait_help = f"seconds to wait for the other machines ({TIMEOUT:g})"
    add("--dist-timeout", type=float, default=TIMEOUT, metavar="SECONDS", help=wait_help)
    add_offline(parser)
    opts_help = "config keys to set; key=value for a .py config"
    add("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help=opts_help)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains or evaluates: see `cli.train`.

    Raises:
        UserError: as there; a mistyped name of a config is found before torch is imported.
        Preempted: training was told to stop by SIGTERM or SIGUSR1.
    """
    from resnext_det.config import find_config

    if not args.config_file.endswith(".py"):  # which needs Detectron2 before it needs to be there
        find_config(args.config_file)

    from resnext_det.cli import train

    return train.run(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `train_net.py` with `argv`, or with the process's own arguments.

    Returns:
        0; 2 after a mistake the user can mend; 3 when the loss is no longer finite;
        75 when training was told to stop and saved its state; 130 after an interrupt.
    """
    parser = argparse.ArgumentParser(
        prog="train_net.py",
        description=VERBS["train"].help,
        allow_abbrev=False,  # as `resnext-det`
    )
    add_arguments(parser)
    return report_errors(run, parser.parse_args(argv))
