"""The kind that checks a folder of the user's own. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.prepare.command import command_line
from resnext_det.data.preparing.folder import check_folder
from resnext_det.errors import one_line

DESCRIPTION = (
    "Count and check your own folder of class folders; its images stay as they are, and what was "
    "found is left beside them in manifest.json. `dataset check train=FOLDER/train "
    "val=FOLDER/val` looks at more: twins, classes, pictures."
)


def add_parser(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the kind to `resnext-det dataset prepare`."""
    parser = kinds.add_parser("folder", help=DESCRIPTION, description=DESCRIPTION)
    parser.add_argument("root", metavar="FOLDER", help="holds train/, val/ or test/")
    what = "decode every image whole, not only its header"
    parser.add_argument("--decode", action="store_true", help=what)
    parser.set_defaults(prepare=run)


def run(args: argparse.Namespace) -> int:
    """Checks the folder and prints what was found.

    Returns:
        0; 1 where an image is broken.

    Raises:
        UserError: see `check_folder`.
    """
    root = Path(args.root).expanduser()
    report = check_folder(root, decode=args.decode, command=command_line())
    for name, record in report.splits.items():
        counts = sorted(record.classes.values())
        least, most = f"{counts[0]:,}", f"{counts[-1]:,}"
        each = most if least == most else f"{least} to {most}"
        print(one_line(f"{root / name}: {record}, {each} a class"))
        for broken in record.broken:
            print(one_line(f"broken: {broken}"))
    for warning in report.warnings:
        print(one_line(f"warning: {warning}"))
    broken = sum(len(record.broken) for record in report.splits.values())
    kept = f"; manifest in {root}" if report.is_kept else ""
    print(one_line(f"{broken:,} broken image(s){kept}"))
    return 1 if broken else 0
