"""What a study's runs are trained on, and whether it is still the same. Engine-neutral."""

import argparse
import json
from pathlib import Path

from projects.studies.grid import Grid
from projects.studies.job_words import WEIGHTS, given_value, is_made_by, job_words
from projects.studies.kept_files import read_kept
from projects.studies.set_digests import is_there, set_digest
from resnext_det.config import load_config
from resnext_det.data.catalog import DatasetEntry, find_dataset, parse_data_argument
from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of
from resnext_det.whole_files import write_text_safe

TRAINING_INPUTS = "training_inputs.json"


def keep_training_inputs(grid: Grid) -> None:
    """Writes down what the study is trained on, or compares it with what is written.

    What is not there is left out: a run that needs it says so itself, and a finished one does not.

    Args:
        grid: the study; its folder is held.

    Raises:
        UserError: a training set or a file of weights has changed since the study first had it.
    """
    path = grid.output / TRAINING_INPUTS
    before, now = _kept(path), training_inputs(grid)
    for name, digest in now.items():
        if before.get(name, digest) != digest:
            raise UserError(
                f"{name}: what {grid.output} was begun with has changed since (digest "
                f"{before[name][:12]}, now {digest[:12]}): bring it back, or give another --output"
            )
    if now.keys() - before.keys():
        write_text_safe(path, json.dumps(before | now, indent=1) + "\n")


def training_inputs(grid: Grid) -> dict[str, str]:
    """Returns the training sets and files of weights that are there, with their digests.

    Args:
        grid: the study.

    Returns:
        Place -> SHA-256: of a file of weights; of a set, over its annotation file and its
        pictures' names and sizes. Places in the study's folder are relative to it.

    Raises:
        UserError: a config or an annotation file is malformed.
    """
    folders = [job.folder for job in grid.jobs]
    entries: dict[str, DatasetEntry] = {}
    found: dict[str, str] = {}
    for job in grid.jobs:
        words = job_words(job)
        if words.eval_only:
            continue
        entries |= {_place(entry): entry for entry in _training_sets(words)}
        weights = given_value(job, WEIGHTS) or ""
        file = Path(weights).expanduser()
        is_new = weights and weights not in found and not is_made_by(folders, weights)
        if is_new and file.is_file():
            found[weights] = sha256_of(file)
    found |= {place: set_digest(entry)[0] for place, entry in entries.items() if is_there(entry)}
    return {_within(grid.output, place): digest for place, digest in found.items()}


def _training_sets(words: argparse.Namespace) -> list[DatasetEntry]:
    """Returns those that a command names, else those that its config does."""
    if words.train_data:
        return [parse_data_argument(text) for text in words.train_data]
    cfg = load_config(words.config_file, words.opts).cfg
    return [find_dataset(name, {}) for name in cfg.DATASETS.TRAIN]


def _place(entry: DatasetEntry) -> str:
    return f"{entry.json_file}:{entry.location}" if entry.json_file else entry.location


def _within(output: Path, place: str) -> str:
    """Returns a place as it stays when the study is moved, folder and all."""
    return place.replace(f"{output}/", "")


def _kept(path: Path) -> dict[str, str]:
    content = read_kept(path)
    if content is None:
        return {}
    if not content or not all(isinstance(digest, str) for digest in content.values()):
        raise UserError(f"{path}: is no list of digests: give another --output")
    return content
