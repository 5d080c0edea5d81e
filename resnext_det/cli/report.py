"""The verb that makes a page of a study's or a run's result JSON. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.printing import open_console
from resnext_det.reports.html import write_report
from resnext_det.reports.study import read_study
from resnext_det.reports.table import rich_table

DESCRIPTION = "Make one self-contained HTML page from a study's or a run's result.json."


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the verb to `resnext-det`."""
    parser = subparsers.add_parser("report", help=DESCRIPTION, description=DESCRIPTION)
    parser.add_argument("result", metavar="RESULT.json", type=Path, help="of a study or a run")
    where = "the page; report.html beside RESULT.json by default"
    parser.add_argument("-o", "--output", metavar="PAGE", type=Path, help=where)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the table and writes the page.

    Returns:
        The exit status, 0.

    Raises:
        UserError: the JSON is missing or malformed, or the page cannot be written.
    """
    page = write_report(args.result, args.output)
    study = read_study(args.result)
    console = open_console()
    console.print(rich_table(study.rows, published=study.published or None))
    console.print(f"{page} is written.", soft_wrap=True, markup=False, highlight=False)
    return 0
