"""What a job's command says, as train_net.py itself reads it. Engine-neutral."""

import argparse
from collections.abc import Collection
from pathlib import Path

from projects.studies.jobs import Job
from resnext_det.cli.verbs.train import add_arguments

WEIGHTS = "MODEL.WEIGHTS"


def job_words(job: Job) -> argparse.Namespace:
    """Returns a job's arguments, with the options of train_net.py and `opts` as attributes."""
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    return parser.parse_args(job.arguments)


def given_value(job: Job, key: str) -> str | None:
    """Returns what a job's command sets a config key to, None where it leaves it to the config."""
    opts = job_words(job).opts
    return dict(zip(opts[::2], opts[1::2], strict=False)).get(key)  # the last word on it counts


def output_folder(job: Job) -> Path:
    """Returns the OUTPUT_DIR of a job's command, under which its detections and ranks are.

    An evaluation's result.json, and so its job's folder, is in `inference/` below it.
    """
    return Path(given_value(job, "OUTPUT_DIR") or job.folder)


def is_made_by(folders: Collection[Path], file: str) -> bool:
    """Tells whether a file lies in one of the folders that a study's jobs fill."""
    return any(Path(file).is_relative_to(folder) for folder in folders)
