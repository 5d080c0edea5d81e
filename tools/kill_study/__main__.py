"""Kills runs of every kind at random moments, and looks whether it shows. Engine-neutral; Linux.

    python -m tools.kill_study --engine portable --kills 30 --seed 0 --json FILE

A tiny run goes through undisturbed. Then the same run, in other folders, is killed with SIGKILL
again and again, and continued by its own command with `--resume` (`--auto-resume` where it has
come to no checkpoint), until it ends; it must end as the first did, to the bit: see `sameness`.
Exit status: 0, or 1 where a run did not go on or ended otherwise.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from resnext_det.whole_files import write_text_safe
from tools.kill_study.study import KillStudy, as_text
from tools.tiny_runs import ENGINES


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the study and writes the JSON.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="tools.kill_study", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="kill_study_") as folder:
        study = KillStudy(args.engine, Path(folder), args.kills, args.seed)
        study.run()
        text = as_text(study.summary())
    print(text)
    if args.json:
        write_text_safe(args.json, text)
    return 0 if study.passed else 1


if __name__ == "__main__":
    sys.exit(main())
