"""The `resnext-det` command: one module per verb. Engine-neutral."""

import argparse
from collections.abc import Sequence
from typing import Any

from resnext_det.cli import complexity, dataset, design, doctor, report, reproduce, train, weights
from resnext_det.cli.errors import report_errors

DESCRIPTION = "ResNeXt: classifiers, detectors and the data they are trained on."
VERBS = (complexity, dataset, design, doctor, report, reproduce, train, weights)


class _Parser(argparse.ArgumentParser):
    """Takes no shortened option, nor do the parsers of its verbs, which are of its class."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `resnext-det VERB …`.

    Args:
        argv: the arguments after the program's name; those of the process by default.

    Returns:
        The exit status: see `report_errors`.
    """
    parser = _Parser(prog="resnext-det", description=DESCRIPTION)
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        verb.add_parser(subparsers)
    args = parser.parse_args(argv)
    return report_errors(args.run, args)
