"""The options of the verb that prepares and checks data sets. Engine-neutral."""

import argparse
import sys
from pathlib import Path

from resnext_det.cli.json_option import add_json
from resnext_det.cli.verbs import prepare_kinds

PREPARE = "Prepare a data set from the files its publisher hands out."
CHECK = (
    "Check data sets before a run: annotations, every image decoded, classes and sizes, pictures "
    "that two sets share. The first set is taken as the one trained on."
)
CHECK_EPILOG = "Exit status: 0 nothing but notes, 1 problems found, 2 a mistake in the command."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    prepare = actions.add_parser("prepare", help=PREPARE, description=PREPARE)
    prepare_kinds.add_kinds(prepare.add_subparsers(dest="kind", required=True, metavar="KIND"))
    prepare.set_defaults(run=run_prepare)
    check = actions.add_parser("check", help=CHECK, description=CHECK, epilog=CHECK_EPILOG)
    _add_check_arguments(check)
    check.set_defaults(run=run_check)


def run_prepare(args: argparse.Namespace) -> int:
    """Prepares the set.

    Returns:
        The exit status: the kind's own; 130 after an interrupt.

    Raises:
        UserError: anything the user can mend.
    """
    try:
        return args.prepare(args)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return 130


def run_check(args: argparse.Namespace) -> int:
    """Checks sets: see `cli.check`."""
    from resnext_det.cli import check

    return check.run(args)


def _add_check_arguments(parser: argparse.ArgumentParser) -> None:
    what = (
        "NAME=annotations.json:images/ (detection), NAME=folder/ (class folders or shards), or a "
        "published name, as coco_2017_val"
    )
    parser.add_argument("sets", nargs="+", metavar="SET", help=what)
    what = "check what this detector needs, too; sizes after its resize, boxes beside its anchors"
    parser.add_argument("--config-file", metavar="FILE", help=what)
    add_json(parser, "everything that was found")
    what = "write check.html there, a page of pictures"
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, help=what)
    what = "write a mended copy of each annotation file there; nothing is overwritten"
    parser.add_argument("--fix", metavar="FOLDER", type=Path, help=what)
    what = "open images whose names in the annotation file leave the image folder"
    parser.add_argument("--trust-file-names", action="store_true", help=what)
    what = "processes that decode images (as many as there are processors)"
    parser.add_argument("--processes", type=int, metavar="N", help=what)
