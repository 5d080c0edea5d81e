#!/usr/bin/env python
"""Times training and inference against Detectron2's own ResNet. Engine-neutral; needs Detectron2.

    python projects/SpeedComparison/run.py --json projects/SpeedComparison/results/cpu.json

One process, three contestants in alternation with the same weights and images: Detectron2's ResNet,
a second one of the same, ours. Exit status 0 when nothing is slower, 1 otherwise.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from projects.SpeedComparison.contestants import WIDTHS, Setting
from projects.SpeedComparison.measure import MODES, PARTS, Effort, measure_net
from projects.SpeedComparison.verdict import NOT_SLOWER
from resnext_det.errors import UserError
from resnext_det.timing.conditions import conditions
from resnext_det.timing.results import write_results

NORMS = ("FrozenBN", "BN")
SCRIPT = "projects/SpeedComparison/run.py"


def main(argv: Sequence[str] | None = None) -> int:
    """Measures every case, and writes the JSON file after each net."""
    args = parse(argv)
    setting = Setting(args.height, args.width, args.batch, args.device)
    effort = Effort(args.parts, args.modes, args.rounds, args.builds, args.max_builds)
    rows = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for net, norm in itertools.product(args.nets, args.norms):
                found = measure_net(net, norm, setting, effort, Path(folder))
                print("\n".join(summary(row) for row in found), flush=True)
                rows += found
                result = {**conditions(SCRIPT), "images": vars(setting), "rows": rows}
                write_results(args.json, result)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    verdicts = [found["verdict"] for row in rows for found in row["clocks"].values()]
    return 0 if set(verdicts) == {NOT_SLOWER} else 1


def summary(row: dict[str, Any]) -> str:
    """Says one case in one line."""
    parts = [f"{row['net']:>10} {row['norm']:>8} {row['what']:>8} {row['mode']:>5}"]
    for clock, found in row["clocks"].items():
        own = found["ours/theirs"]["median"] - 1
        parts.append(f"{clock} {own:+.2%} (spread {found['spread']:.2%}) {found['verdict']}")
    return "; ".join(parts)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Speed against Detectron2's own ResNet")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    parser.add_argument("--nets", nargs="+", choices=WIDTHS, default=["R_50", "X_50_32x4d"])
    parser.add_argument("--norms", nargs="+", choices=NORMS, default=list(NORMS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--height", type=int, default=320, help="of the images, in pixels")
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--batch", type=int, default=1, help="images of one step")
    parser.add_argument("--rounds", type=int, default=12, help="of each build of the models")
    parser.add_argument("--builds", type=int, default=2)
    parser.add_argument("--max-builds", type=int, default=6, help="where a case is undecided")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
