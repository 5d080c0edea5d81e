#!/usr/bin/env python
"""Cardinality against width and depth: the paper's Tables 3 and 4. Engine-neutral.

    python projects/Cardinality/run.py [--scale mini|imagenet] [--seeds N]

Trains each network of the tables and of the ablation without shortcuts, evaluates it, writes
result.json and report.html, and prints the errors beside the paper's. Run again, it continues
where it was; finished runs are kept.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from projects.Cardinality.rows import (
    IMAGENET_EQUAL,
    IMAGENET_PAIRS,
    MINI_EQUAL,
    MINI_PAIRS,
    imagenet_rows,
    imagenet_tables,
    mini_rows,
    mini_tables,
)
from projects.studies.classification.classifiers import NETWORK_KEYS, classifier_grid
from projects.studies.classification.mini import (
    MINI,
    add_mini_options,
    mini_data,
    mini_scale,
    named_scale,
)
from projects.studies.classification.paper_tables import PrintedErrors
from projects.studies.command import study_main
from projects.studies.findings import Finding, difference_findings, finding
from projects.studies.grid import Grid, TestSet
from projects.studies.options import StudyOptions

IMAGENET = "imagenet"
TITLE = "Cardinality at equal complexity"
# Percent of the 1x64d's: 4.4 of ResNeXt-50 8x14d by Table 2's rounded widths; the small networks'
# few blocks make it 5.4.
MAX_FLOPS_DIFFERENCE = 6.0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the study; the exit status is `study_main`'s."""
    parser = argparse.ArgumentParser(prog="cardinality", description="Tables 3 and 4 of the paper.")
    parser.add_argument("--scale", choices=(MINI, IMAGENET), default=MINI)
    add_mini_options(parser)
    tables = {**imagenet_tables(), **mini_tables()}
    printed = PrintedErrors(list(tables.values()), findings)
    status = study_main(
        parser, argv, make_grid, output=Path("output/cardinality"), findings=printed
    )
    printed.print(Console())
    return status


def make_grid(args: argparse.Namespace, options: StudyOptions, console: Console) -> Grid:
    """Returns the study at the scale asked for; at the mini scale it makes the data.

    Raises:
        UserError: see `mini_data`.
    """
    if args.scale == MINI:
        console.print("Looking for the data …")
        folder = options.data_for(TITLE, "classification", MINI)
        scale = mini_scale(args, mini_data(args, folder, ready=options.ready))
        rows, pairs = mini_rows(), MINI_PAIRS
    else:
        words = "ImageNet-1K, validation images, centre crop of 224"
        scale = named_scale(args, TestSet("imagenet_1k_val", words))
        rows, pairs = imagenet_rows(), IMAGENET_PAIRS
    return classifier_grid(
        scale,
        rows,
        pairs,
        options,
        title=TITLE,
        published=("table2", "table3", "table4", "no_shortcuts"),
        compared=(*NETWORK_KEYS, "TEST.MORE_CROPS"),  # Table 5's second crop, of two networks
    )


def findings(content: Mapping[str, Any]) -> list[Finding]:
    """Returns whether the cardinalities are of one complexity, and what each pair differs by."""
    groups = IMAGENET_EQUAL if content["scale"] == IMAGENET else MINI_EQUAL
    equal = [equal_complexity(content, tags) for tags in groups]
    return [*filter(None, equal), *difference_findings(content)]


def equal_complexity(content: Mapping[str, Any], tags: Sequence[str]) -> Finding | None:
    """Compares the multiply-adds of the networks of several cardinalities with the first's.

    Args:
        content: of the study's result.json.
        tags: of its rows, the reference first.

    Returns:
        Whether they differ by at most `MAX_FLOPS_DIFFERENCE`; None where fewer than two were run.
    """
    known = imagenet_rows() if content["scale"] == IMAGENET else mini_rows()
    model_of = {c.row.tag: c.row.model for c in known}
    flops = {row["model"]: row["flops"] for row in content["rows"] if not row.get("note")}
    names = [model_of[tag] for tag in tags]
    if names[0] not in flops or not flops.keys() & {*names[1:]}:
        return None
    reference = flops[names[0]]
    above = {n: 100 * (flops[n] / reference - 1) for n in names[1:] if n in flops}
    largest = max(above.items(), key=lambda item: abs(item[1]))
    text = (
        f"Of the cardinalities, {largest[0]} differs most from {names[0]} in multiply-adds, by "
        f"{largest[1]:+.1f} %; at most {MAX_FLOPS_DIFFERENCE:g} % are allowed."
    )
    return finding(text, abs(largest[1]) <= MAX_FLOPS_DIFFERENCE)


if __name__ == "__main__":
    sys.exit(main())
