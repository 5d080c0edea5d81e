"""What the kinds share: options, the command line as typed, what is printed. Engine-neutral."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from resnext_det.errors import one_line

if TYPE_CHECKING:
    from resnext_det.data.preparing.split import Outcome

MB_PER_SHARD = 500.0  # 10^6 bytes of images each


def add_output(parser: argparse.ArgumentParser, folder: str) -> None:
    """Adds --output and --no-digest.

    Args:
        parser: of the kind.
        folder: where the set goes by default, below `$DETECTRON2_DATASETS`.
    """
    where = f"where it goes ($DETECTRON2_DATASETS/{folder})"
    parser.add_argument("--output", metavar="FOLDER", help=where)
    what = "take the archives as they are: compare neither size nor MD5, compute no digest"
    parser.add_argument("--no-digest", dest="digest", action="store_false", help=what)


def command_line() -> str:
    """Returns the words of this process, for the manifest."""
    return shlex.join(["resnext-det", *sys.argv[1:]])


def print_outcome(folder: Path, outcome: "Outcome") -> None:
    """Prints one line on a split."""
    said = "prepared" if outcome.fresh else "was prepared before; nothing to do"
    print(one_line(f"{folder}: {outcome.record}: {said}"))
