"""The verb that prepares and checks data sets. Engine-neutral.

A kind of data set is one module of `cli.prepare` with an `add_parser(kinds)` that sets the
default `prepare`: a function of the arguments that returns the exit status.
"""

import argparse
import sys

from resnext_det.cli import check
from resnext_det.cli.prepare import cifar, folder, imagenet_1k, imagenet_5k, shards

DESCRIPTION = "Prepare a data set from the files its publisher hands out, or check your own."
PREPARE = "Prepare a data set from the files its publisher hands out."
KINDS = (imagenet_1k, imagenet_5k, cifar, folder, shards)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the verb to `resnext-det`."""
    parser = subparsers.add_parser("dataset", help=DESCRIPTION, description=DESCRIPTION)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    prepare = actions.add_parser("prepare", help=PREPARE, description=PREPARE)
    kinds = prepare.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind in KINDS:
        kind.add_parser(kinds)
    prepare.set_defaults(run=run)
    check.add_parser(actions)


def run(args: argparse.Namespace) -> int:
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
