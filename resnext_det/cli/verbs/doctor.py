"""The options of the verb that looks whether this machine is fit for runs. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.json_option import add_json

EPILOG = "Exit status: 0 nothing but notes, 1 problems found, 2 a mistake in the command."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.epilog = EPILOG
    what = "where runs are to be written (output)"
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", type=Path, default=Path("output"), help=what
    )
    what = "of the forward pass, as cpu or cuda:1 (a GPU where there is one)"
    parser.add_argument("--device", metavar="DEVICE", help=what)
    add_json(parser, "everything that was found")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Looks: see `cli.doctor`."""
    from resnext_det.cli import doctor

    return doctor.run(args)
