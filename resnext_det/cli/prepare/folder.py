"""The kind that checks a folder of the user's own. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.prepare.command import command_line
from resnext_det.data.preparing.folder import check_folder
from resnext_det.errors import one_line


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
