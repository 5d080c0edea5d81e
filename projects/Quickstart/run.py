#!/usr/bin/env python
"""The main job end to end on data that ships with the installed packages. Engine-neutral.

    python projects/Quickstart/run.py [--output output/quickstart]

Builds the data, pretrains a ResNet and a ResNeXt of equal complexity, fine-tunes Faster
R-CNN with FPN from each and from scratch, evaluates, and writes result.json and
report.html. Run again, it continues where it was; finished runs are kept.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from projects.Quickstart.jobs import SEED, Data, Detector, detectors
from projects.Quickstart.study import write_study
from projects.studies.places import choose_places
from projects.studies.processes import JobFailedError
from projects.studies.runner import run_jobs
from resnext_det.data.quickstart import QuickstartData, build_quickstart_data
from resnext_det.engines.base import detectron2_is_installed
from resnext_det.errors import UserError
from resnext_det.reports.html import write_report
from resnext_det.reports.study import Study, read_study
from resnext_det.reports.table import rich_table


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the quickstart.

    Returns:
        0; 1 where a run failed or a check is not met; 2 after a mistake the user can mend;
        130 after an interrupt.
    """
    args = _parse(argv)
    console = Console()
    # Set for Ctrl-C too: a shell's background job, and all it starts, would ignore it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        study = quickstart(args.output, args.engine, args.jobs, console)
    except UserError as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 2
    except JobFailedError as error:
        console.print(str(error), markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted. The same command continues.")
        return 130
    return 0 if all(f["passed"] is not False for f in study.more["findings"]) else 1


def quickstart(output: Path, engine: str, side_by_side: int, console: Console) -> Study:
    """Does everything, and prints the table and what it says.

    Args:
        output: folder of the study.
        engine: "d2" or "portable".
        side_by_side: runs at a time.
        console: where it is printed.

    Returns:
        The study, as written to `output` / result.json.
    """
    begin = time.monotonic()
    console.print("Building the data …")
    built = build_quickstart_data(output / "data", seed=SEED)
    data = _data(built)
    rows = detectors(data, output, engine)
    fresh = run_jobs(_jobs(rows), places=choose_places(side_by_side), console=console)
    seconds = time.monotonic() - begin if fresh else None
    result = write_study(rows, data, output, description=built.description, seconds=seconds)
    study = read_study(result)
    report = write_report(result)
    _print(study, console)
    console.print(f"{result} and {report} are written.", soft_wrap=True)
    return study


def _jobs(rows: Sequence[Detector]) -> list:
    """Returns the classification runs, then the detection runs."""
    first = dict.fromkeys(row.pretraining for row in rows if row.pretraining)
    return [*first, *(row.job for row in rows)]


def _data(built: QuickstartData) -> Data:
    """Returns the sets as train_net.py takes them."""
    scenes = [f"{e.json_file}:{e.image_root}" for e in (built.scenes_train, built.scenes_val)]
    crops = [str(e.image_root) for e in (built.crops_train, built.crops_val)]
    return Data(*crops, *scenes)


def _print(study: Study, console: Console) -> None:
    console.print(rich_table(study.rows, title="Held-out scenes, box AP in percent"))
    marks = {True: "[green]✓ met[/]", False: "[red]✗ not met[/]", None: "[yellow]note[/]"}
    for finding in study.more["findings"]:
        console.print(marks[finding["passed"]], end=" ")
        console.print(finding["text"], markup=False, highlight=False)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="quickstart", description="Pretrain, fine-tune, compare.")
    engines = ("auto", "d2", "portable")
    parser.add_argument("--output", type=Path, default=Path("output/quickstart"), metavar="FOLDER")
    parser.add_argument("--engine", choices=engines, default="auto", help="detection engine")
    default = min(2, os.cpu_count() or 1)
    parser.add_argument(
        "--jobs",
        type=int,
        default=default,
        help="runs at a time, one core each or on the GPUs in turn",
    )
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error("--jobs must be at least 1")
    if args.engine == "auto":
        args.engine = "d2" if detectron2_is_installed() else "portable"
    return args


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
