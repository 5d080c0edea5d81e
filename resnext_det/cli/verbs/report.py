"""The options of the verb that makes a page of a result JSON. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.reports.study import read_study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("result", metavar="RESULT.json", type=Path, help="of a study or a run")
    where = "the page; report.html beside RESULT.json by default"
    parser.add_argument("-o", "--output", metavar="PAGE", type=Path, help=where)
    what = "draw sample images from folders outside that of RESULT.json, where it names such"
    parser.add_argument("--trust-file-names", action="store_true", help=what)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the page: see `cli.report`.

    Raises:
        UserError: as there; what is wrong with the JSON is found before a picture is thought of.
    """
    read_study(args.result)
    from resnext_det.cli import report

    return report.run(args)
