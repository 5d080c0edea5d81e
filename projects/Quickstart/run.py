#!/usr/bin/env python
"""The main job end to end on data that ships with the installed packages. Engine-neutral.

    python projects/Quickstart/run.py [--output output/quickstart]

Builds the data, pretrains a ResNet and a ResNeXt of equal complexity, fine-tunes Faster
R-CNN with FPN from each and from scratch, evaluates, and writes result.json and
report.html. Run again, it continues where it was; finished runs are kept.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from projects.Quickstart.findings import findings
from projects.Quickstart.jobs import SCALE, TITLE, Data, quickstart_grid
from projects.studies.command import study_main
from projects.studies.grid import Grid
from projects.studies.options import StudyOptions
from resnext_det.data.quickstart import build_quickstart_data


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the quickstart.

    Returns:
        The exit status, see `study_main`.
    """
    parser = argparse.ArgumentParser(prog="quickstart", description="Pretrain, fine-tune, compare.")
    return study_main(parser, argv, make_grid, output=Path("output/quickstart"), findings=findings)


def make_grid(_: argparse.Namespace, options: StudyOptions, console: Console) -> Grid:
    """Builds the data, and says what is trained on them.

    Raises:
        UserError: the folder is another study's, or the data's holds other files.
    """
    console.print("Building the data …")
    folder = options.data_for(TITLE, "detection", SCALE)
    built = build_quickstart_data(folder, seed=0, ready=options.ready)
    scenes = [f"{e.json_file}:{e.image_root}" for e in (built.scenes_train, built.scenes_val)]
    crops = [str(e.image_root) for e in (built.crops_train, built.crops_val)]
    data = Data(*crops, *scenes, description=built.description)
    return quickstart_grid(data, options.output, options.engine, options.seeds)


if __name__ == "__main__":
    sys.exit(main())
