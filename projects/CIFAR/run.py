#!/usr/bin/env python
"""ResNeXt-29 on CIFAR: the paper's Table 7. Engine-neutral.

    python projects/CIFAR/run.py [--scale mini|paper] [--data cifar10|cifar100] [--seeds N]

Trains the networks ten times each as the paper does, evaluates them, writes result.json and
report.html, and prints the errors beside the paper's. Run again, it continues where it was;
finished runs are kept.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from projects.CIFAR.rows import (
    DATA_SETS,
    mini_rows,
    mini_table,
    paper_rows,
    paper_tables,
    row_tags,
)
from projects.studies.classification.classifiers import classifier_grid
from projects.studies.classification.mini import (
    MINI,
    add_mini_options,
    mini_data,
    mini_scale,
    named_scale,
)
from projects.studies.classification.paper_tables import PrintedErrors
from projects.studies.command import study_main
from projects.studies.grid import Grid, TestSet
from projects.studies.options import StudyOptions
from resnext_det.errors import UserError

PAPER = "paper"
SEEDS = 10  # Table 7: the mean of ten runs


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the study; the exit status is `study_main`'s."""
    parser = argparse.ArgumentParser(prog="cifar", description="Table 7 of the paper.")
    parser.add_argument("--scale", choices=(MINI, PAPER), default=MINI)
    parser.add_argument("--data", choices=DATA_SETS, help="paper: the data set (cifar10)")
    add_mini_options(parser)
    printed = PrintedErrors([])

    def grid(args: argparse.Namespace, options: StudyOptions, console: Console) -> Grid:
        made = make_grid(args, options, console)
        printed.tables = [mini_table() if args.scale == MINI else paper_tables()[data_set(args)]]
        return made

    output = Path("output/cifar")
    status = study_main(parser, argv, grid, output=output, seeds=SEEDS, findings=printed)
    printed.print(Console())
    return status


def data_set(args: argparse.Namespace) -> str:
    """Returns cifar10 or cifar100."""
    return args.data or "cifar10"


def make_grid(args: argparse.Namespace, options: StudyOptions, console: Console) -> Grid:
    """Returns the study at the scale asked for; at the mini scale it makes the data.

    Raises:
        UserError: --data at the mini scale; see `mini_data`.
    """
    if args.scale == MINI:
        if args.data:
            raise UserError(
                "--data is the paper scale's: the mini scale takes --train-data and --test-data "
                f"or the digits; leave it out, or give --scale {PAPER}"
            )
        console.print("Looking for the data …")
        title, rows = "ResNeXt-29 in small", mini_rows()
        folder = options.data_for(title, "classification", MINI)
        scale = mini_scale(args, mini_data(args, folder, ready=options.ready))
    else:
        name = data_set(args)
        words = f"{DATA_SETS[name]}, its 10,000 test images"
        scale = named_scale(args, TestSet(f"{name}_test", words))
        title, rows = f"ResNeXt-29 on {DATA_SETS[name]}", paper_rows(name)
    return classifier_grid(scale, rows, row_tags(rows), options, title=title, published=("table7",))


if __name__ == "__main__":
    sys.exit(main())
