"""`resnext-det dataset check`: what is wrong with data sets, before a run. Engine-neutral."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from resnext_det.cli.check_printing import print_mended, print_result, say
from resnext_det.cli.prepare.command import command_line
from resnext_det.cli.printing import check_json, open_console, write_json
from resnext_det.config import load_config, task_of
from resnext_det.data.catalog import (
    DatasetEntry,
    entries_by_name,
    find_dataset,
    parse_data_argument,
)
from resnext_det.data.checking.check import CheckOptions, check_sets
from resnext_det.data.checking.geometry import geometry_of
from resnext_det.data.checking.mending import check_fix_folder, mend_sets, mended_files
from resnext_det.data.checking.results import check_json_of
from resnext_det.data.manifest import FILE_NAME as MANIFEST
from resnext_det.data.needs import needs_of
from resnext_det.data.shard_index import INDEX_NAME
from resnext_det.errors import UserError
from resnext_det.reports.dataset_page import NAME as PAGE
from resnext_det.reports.dataset_page import check_output, write_check_page


def run(args: argparse.Namespace) -> int:
    """Checks the sets, prints what was found, and writes what was asked for.

    Returns:
        0; 1 where there are problems; 130 after an interrupt.

    Raises:
        UserError: anything wrong with the command; see `check_sets`.
    """
    entries = entries_of(args.sets)
    check_json(args.json, _used(args, entries))
    options = options_of(args, entries)
    if args.output is not None:
        check_output(args.output)
    if args.fix is not None:
        check_fix_folder(args.fix, [entry.name for entry in entries])
        if any(entry.json_file is None for entry in entries):
            raise UserError("--fix mends annotation files; a set of class folders has none")
    try:
        result = check_sets(entries, options)
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    console = open_console(args.json)
    print_result(console, result)
    fixes = mend_sets(result, args.fix, options) if args.fix is not None else []
    for mended in fixes:
        print_mended(console, mended)
    if args.output is not None:
        page = write_check_page(result, args.output, command=command_line())
        say(console, f"{page} is written.")
    write_json(args.json, check_json_of(result, [mended.as_json() for mended in fixes]))
    return 1 if result.num_problems else 0


def entries_of(words: Sequence[str]) -> list[DatasetEntry]:
    """Returns the sets named on the command line, in its order.

    Raises:
        UserError: one is no set, or two have the same name.
    """
    entries = [
        parse_data_argument(word) if "=" in word else find_dataset(word, {}, option="as")
        for word in words
    ]
    entries_by_name(entries)
    names = [entry.name for entry in entries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"data set '{twice}' is named twice; name each set once")
    return entries


def _used(args: argparse.Namespace, entries: Sequence[DatasetEntry]) -> Iterator[Path]:
    """JSON files that a set may consist of, and what else is read or written."""
    for entry in entries:
        yield from filter(None, entry.places)
        if entry.json_file is None:
            yield from (entry.image_root / name for name in (INDEX_NAME, MANIFEST))
            yield from (entry.image_root.parent / name for name in (INDEX_NAME, MANIFEST))
    if args.config_file:
        yield Path(args.config_file)
    if args.output is not None:
        yield args.output / PAGE
    if args.fix is not None:
        for entry in entries:
            yield from mended_files(args.fix, entry.name)


def options_of(args: argparse.Namespace, entries: Sequence[DatasetEntry]) -> CheckOptions:
    """Returns what the options and the config say.

    Raises:
        UserError: the config cannot be read or is for other sets; a number of processes below 1.
    """
    if args.processes is not None and args.processes < 1:
        raise UserError(f"--processes {args.processes}: give 1 or more")
    if not args.config_file:
        return CheckOptions(trust_file_names=args.trust_file_names, processes=args.processes)
    cfg = load_config(args.config_file, []).cfg
    detects = task_of(cfg) == "detection"
    _check_task(args.config_file, entries, detects=detects)
    trusts = args.trust_file_names or bool(cfg.DATASETS.get("TRUST_FILE_NAMES", False))
    if not detects:
        return CheckOptions(trust_file_names=trusts, processes=args.processes)
    return CheckOptions(
        needs_of(cfg),
        geometry_of(cfg),
        bool(cfg.DATASETS.DROP_BAD_BOXES),
        trusts,
        args.processes,
    )


def _check_task(file: str, entries: Sequence[DatasetEntry], *, detects: bool) -> None:
    other = next((entry for entry in entries if (entry.json_file is not None) != detects), None)
    if other is None:
        return
    task, its = ("detection", "classification") if detects else ("classification", "detection")
    raise UserError(
        f"--config-file {file}: is for {task}, but '{other.name}' is a set for {its}; give a "
        f"config for {its}, or leave it out"
    )
