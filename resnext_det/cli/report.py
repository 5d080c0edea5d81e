"""The verb that makes a page of a study's or a run's result JSON. Engine-neutral."""

import argparse

from resnext_det.cli.printing import open_console
from resnext_det.reports.html import write_report
from resnext_det.reports.study import read_study
from resnext_det.reports.table import rich_table


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
