#!/usr/bin/env python
"""Weights that the user has, evaluated, beside the published model table. Engine-neutral.

    python projects/PublishedModels/run.py --weights resnext50_32x4d=FILE_OR_NAME … \
        [--test-data NAME=FOLDER]

Evaluates each by `train_net.py --eval-only`, writes result.json and report.html, and prints
accuracy, parameters and FLOPs beside the published ones. Give all weights each time: what was
evaluated before is kept.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from projects.PublishedModels.evaluations import evaluation_cells, parse_weights
from projects.PublishedModels.models import PUBLISHED
from projects.PublishedModels.tables import rich_models
from projects.studies.classification.classifiers import NETWORK_KEYS
from projects.studies.classification.paper_tables import Content
from projects.studies.command import study_main
from projects.studies.findings import Finding
from projects.studies.grid import Grid, TestSet
from projects.studies.options import StudyOptions
from resnext_det.data.catalog import parse_data_argument
from resnext_det.errors import UserError

TEST_SET = "imagenet_1k_val"
# What weights may say of themselves, beside their network.
_OF_WEIGHTS = (
    "MODEL.WEIGHTS",
    "MODEL.PIXEL_MEAN",
    "MODEL.PIXEL_STD",
    "MODEL.RESNETS.STRIDE_IN_1X1",
    "INPUT.FORMAT",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluates; the exit status is `study_main`'s."""
    parser = argparse.ArgumentParser(prog="published-models", description=(__doc__ or "")[:72])
    add = parser.add_argument
    weights_help = "weights of a network of the table: a file, or a name as MODEL.WEIGHTS takes it"
    add("--weights", nargs="+", default=[], metavar="VARIANT=FILE_OR_NAME", help=weights_help)
    add("--test-data", metavar="NAME=FOLDER", help=f"class folders or shards ({TEST_SET})")
    gathered: list[Content] = []

    def findings(content: Content) -> list[Finding]:
        gathered.append(content)
        return []

    output = Path("output/published_models")
    status = study_main(parser, argv, make_grid, output=output, findings=findings)
    for content in gathered:
        Console().print(rich_models(content))
    return status


def make_grid(args: argparse.Namespace, options: StudyOptions, console: Console) -> Grid:
    """Returns a study whose runs evaluate the weights that are given.

    Raises:
        UserError: no weights or malformed ones; options that make sense in training only.
    """
    del console
    if options.plan or len(options.seeds) > 1:
        option = "--plan" if options.plan else "--seeds"
        raise UserError(f"{option}: nothing is trained here, weights are evaluated: leave it out")
    weights = parse_weights(args.weights)
    source, sets = TEST_SET, None
    if args.test_data is not None:
        entry = parse_data_argument(args.test_data)
        source, sets = args.test_data.partition("=")[2].strip(), args.test_data
        if entry.json_file is not None:
            raise UserError(f"--test-data {args.test_data}: class folders or shards are wanted")
    return Grid(
        title="Published models",
        kind="classification",
        scale="evaluation",
        output=options.output,
        cells=evaluation_cells(weights, options.output, sets),
        pairs=(),
        test_set=TestSet(source, "centre crop of 224 pixels of the shortest side 256"),
        compared=(*NETWORK_KEYS, *_OF_WEIGHTS),
        published=(PUBLISHED,),
    )


if __name__ == "__main__":
    sys.exit(main())
