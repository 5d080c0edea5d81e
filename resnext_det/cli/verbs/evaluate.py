"""The options of the verb that says where a detector is wrong. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.json_option import add_json
from resnext_det.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    what = "a run's folder, a detector's checkpoint, or COCO results JSON"
    add("source", nargs="?", metavar="SOURCE", help=what)
    what = "say what B scores above A, each a run's folder or COCO results JSON"
    add("--compare", nargs=2, metavar=("A", "B"), help=what)
    what = "COCO annotations of the results (a run's folder knows its own)"
    add("--annotations", type=Path, metavar="JSON", help=what)
    add("--images", type=Path, metavar="FOLDER", help="their images, for the page")
    what = "run a checkpoint on this set first: NAME=annotations.json:images/"
    add("--test-data", metavar="NAME=…", help=what)
    what = "write there evaluation.json, classes.csv, images.csv, confusion.csv, evaluation.html"
    add("-o", "--output", type=Path, metavar="FOLDER", help=what)
    add_json(parser, "what was measured")
    what = "lowest score of a box that counts in images and in the confusion matrix (the best F1's)"
    add("--score-thresh", type=float, metavar="SCORE", help=what)
    what = (
        "bootstrap samples of the intervals, which are optimistic where classes have few objects; "
        "0 for none (1000)"
    )
    add("--samples", type=int, default=1000, metavar="N", help=what)
    what = "of the intervals (0.95)"
    add("--confidence", type=float, default=0.95, metavar="SHARE", help=what)
    what = "pictures of each kind of error and each class on the page (4)"
    add("--pictures", type=int, default=4, metavar="N", help=what)
    add("--engine", choices=("auto", "d2", "portable"), default="auto", help="of a checkpoint")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluates: see `cli.evaluate`.

    Raises:
        UserError: as there; options that contradict each other are found first.
    """
    check(args)
    from resnext_det.cli import evaluate

    return evaluate.run(args)


def check(args: argparse.Namespace) -> None:
    """Refuses what can be known without a look at a file.

    Raises:
        UserError: nothing, or two things, are to be evaluated, or a number is out of its range.
    """
    if (args.source is None) == (args.compare is None):
        raise UserError("give SOURCE, or --compare A B: a run's folder, or results JSON")
    if args.compare is not None and args.test_data is not None:
        raise UserError("--test-data runs one checkpoint; --compare takes the results of two")
    if args.compare is not None and args.samples < 1:
        raise UserError(f"--samples {args.samples}: --compare takes at least one")
    if args.samples < 0:
        raise UserError(f"--samples {args.samples}: give 0 for no intervals, or more")
    if args.pictures < 0:
        raise UserError(f"--pictures {args.pictures}: give 0 or more")
    if not 0 < args.confidence < 1:
        raise UserError(f"--confidence {args.confidence}: it lies between 0 and 1, as 0.95")
    if args.score_thresh is not None and not 0 <= args.score_thresh <= 1:
        raise UserError(f"--score-thresh {args.score_thresh}: it lies between 0 and 1")
