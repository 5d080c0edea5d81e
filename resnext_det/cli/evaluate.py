"""The verb that says where a detector is wrong. Engine-neutral."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from resnext_det.analysis.analyse import Analysis, Options, analyse
from resnext_det.analysis.comparing import compare, comparison_json
from resnext_det.analysis.content import (
    as_csv,
    as_json,
    class_table,
    confusion_table,
    image_table,
)
from resnext_det.analysis.coverage import check_names
from resnext_det.analysis.places import Subject, check_same_set, is_checkpoint, locate
from resnext_det.cli.evaluate_printing import print_analysis, print_comparison
from resnext_det.cli.printing import check_json, open_console, write_json
from resnext_det.errors import UserError
from resnext_det.evaluation.box_arrays import read_truth
from resnext_det.whole_files import write_text_safe

CONTENT, PAGE = "evaluation.json", "evaluation.html"


def run(args: argparse.Namespace) -> int:
    """Measures, prints, and writes what was asked for.

    Returns:
        The exit status, 0.

    Raises:
        UserError: a file is missing, malformed or of another data set; the checkpoint is no
            detector's; or nothing can be written where it was asked for.
    """
    written = [] if args.output is None else [args.output / name for name in (CONTENT, PAGE)]
    read = [Path(word) for word in (args.source, args.annotations, *(args.compare or ())) if word]
    check_json(args.json, [*read, *written])
    if args.output is not None:
        check_output(args.output)
    options = Options(args.score_thresh, args.samples, args.confidence)
    return _compare(args, options) if args.compare else _evaluate(args, options)


def check_output(folder: Path) -> None:
    """Makes the folder and checks, before anything is measured, that it can be written to.

    Raises:
        UserError: it is a file, or cannot be made or written to, or holds another page.
    """
    from resnext_det.reports.page_file import check_page

    if folder.exists() and not folder.is_dir():
        raise UserError(f"-o {folder}: is a file; give a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"-o {folder}: cannot be made ({error.strerror})") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"-o {folder}: Permission denied; give a folder that can be written to")
    check_page(folder / PAGE, elsewhere="resnext-det evaluate … -o FOLDER")


def _evaluate(args: argparse.Namespace, options: Options) -> int:
    subject = _subject(args)
    truth = read_truth(subject.annotations)
    check_names(truth, subject.results)
    found = analyse(truth, subject.results, options)
    console = open_console(args.json)
    _warn(found)
    print_analysis(console, found)
    content = as_json(found)
    if args.output is not None:
        from resnext_det.reports.evaluation_page import write_evaluation_page

        _write_files(args.output, content, found)
        page = write_evaluation_page(
            found, args.output / PAGE, images=subject.images, num_pictures=args.pictures
        )
        console.print(f"{page} is written.", soft_wrap=True, markup=False, highlight=False)
    write_json(args.json, content)
    return 0


def _compare(args: argparse.Namespace, options: Options) -> int:
    subjects = [locate(word, args.annotations, args.images) for word in args.compare]
    first, second = subjects
    check_same_set(first, second)
    truth = read_truth(first.annotations)
    for subject in subjects:
        check_names(truth, subject.results)
    without = replace(options, num_samples=0)  # the intervals are those of the difference
    sides = (analyse(truth, first.results, without), analyse(truth, second.results, without))
    for side in sides:
        _warn(side)
    names = _names(first.name, second.name)
    found = compare(
        truth, (first.results, second.results), names, options, num_images=args.pictures
    )
    console = open_console(args.json)
    print_comparison(console, found, sides)
    content = comparison_json(found, sides)
    if args.output is not None:
        from resnext_det.reports.comparison_page import write_comparison_page

        _write_json_file(args.output / CONTENT, content)
        page = write_comparison_page(found, sides, args.output / PAGE, images=first.images)
        console.print(f"{page} is written.", soft_wrap=True, markup=False, highlight=False)
    write_json(args.json, content)
    return 0


def _subject(args: argparse.Namespace) -> Subject:
    """Returns what is evaluated; a checkpoint is run first."""
    if not is_checkpoint(args.source):
        if args.test_data is not None:
            raise UserError(
                f"--test-data is for a checkpoint, which {args.source} is not: give --annotations "
                "JSON and --images FOLDER"
            )
        return locate(args.source, args.annotations, args.images)
    from resnext_det.cli.evaluate_checkpoint import run_checkpoint

    return run_checkpoint(args)


def _names(first: str, second: str) -> tuple[str, str]:
    """Returns names for sentences and headings: without the folders that both paths share.

    Of `study/r50/run` and `study/x50/run` these are `r50` and `x50`.
    """
    one, other = list(Path(first).parts), list(Path(second).parts)
    if one[-1:] != other[-1:]:
        return Path(first).name or first, Path(second).name or second
    for place in (-1, 0):  # the end that both share, then the beginning
        while one and other and one[place] == other[place]:
            del one[place], other[place]
    return (str(Path(*one)), str(Path(*other))) if one and other else (first, second)


def _warn(found: Analysis) -> None:
    """Says what makes every number 0 or undefined."""
    if not found.num_detections:
        print(f"{found.results}: holds no detection, so nothing is found", file=sys.stderr)
    if not found.boxes.sought.any():
        print(f"{found.truth.path}: has no object, so nothing can be found", file=sys.stderr)


def _write_files(folder: Path, content: Mapping[str, Any], found: Analysis) -> None:
    _write_json_file(folder / CONTENT, content)
    tables = {"classes": class_table, "images": image_table, "confusion": confusion_table}
    for name, table in tables.items():
        write_text_safe(folder / f"{name}.csv", as_csv(table(found)))


def _write_json_file(path: Path, content: Mapping[str, Any]) -> None:
    write_text_safe(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
