#!/usr/bin/env python
"""Trained on more classes than are tested: the paper's Table 6. Engine-neutral.

    python projects/ImageNet5K/run.py [--scale mini|paper] [--seeds N]

Trains ResNets and ResNeXts on a superset of the test set's classes, scores them among all
classes and among the test set's own, writes result.json and report.html, and prints the errors
beside the paper's. Run again, it continues where it was; finished runs are kept.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from projects.ImageNet5K.data import some_classes
from projects.ImageNet5K.rows import (
    MINI_PAIRS,
    PAPER_PAIRS,
    mini_rows,
    mini_table,
    paper_rows,
    paper_table,
)
from projects.studies.classification.classifiers import classifier_grid
from projects.studies.classification.mini import (
    MINI,
    add_mini_options,
    check_superset,
    mini_data,
    mini_scale,
    named_scale,
)
from projects.studies.classification.paper_tables import PrintedErrors
from projects.studies.command import study_main
from projects.studies.grid import Grid, TestSet
from projects.studies.options import StudyOptions

PAPER = "paper"
TITLE = "Trained on more classes than are tested"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the study; the exit status is `study_main`'s."""
    parser = argparse.ArgumentParser(prog="imagenet5k", description="Table 6 of the paper.")
    parser.add_argument("--scale", choices=(MINI, PAPER), default=MINI)
    add_mini_options(parser)
    printed = PrintedErrors([paper_table(), mini_table()])
    output = Path("output/imagenet5k")
    status = study_main(parser, argv, make_grid, output=output, findings=printed)
    printed.print(Console())
    return status


def make_grid(args: argparse.Namespace, options: StudyOptions, console: Console) -> Grid:
    """Returns the study at the scale asked for; at the mini scale it makes the data.

    Raises:
        UserError: the test set has a class that is not trained on, or all that are; see
            `mini_data`.
    """
    if args.scale == MINI:
        console.print("Looking for the data …")
        folder = options.data_for(TITLE, "classification", MINI)
        data = mini_data(args, folder, ready=options.ready)
        if args.test_data is None:
            data = some_classes(data, folder / "six_classes")
        check_superset(data)
        scale, rows, pairs = mini_scale(args, data), mini_rows(), MINI_PAIRS
    else:
        words = "ImageNet-1K, validation images, centre crop of 224; trained on ImageNet-5K"
        scale = named_scale(args, TestSet("imagenet_1k_val", words))
        rows, pairs = paper_rows(), PAPER_PAIRS
    return classifier_grid(scale, rows, pairs, options, title=TITLE, published=("table6",))


if __name__ == "__main__":
    sys.exit(main())
