"""What a study's runs are trained on, and whether it is still the same. Engine-neutral.

Pictures are known by their names and sizes alone: ImageNet is looked through in seconds.
"""

import argparse
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from projects.studies.grid import Grid
from projects.studies.jobs import Job
from resnext_det.cli.train import add_arguments
from resnext_det.config import load_config
from resnext_det.data.catalog import DatasetEntry, find_dataset, parse_data_argument
from resnext_det.data.json_files import read_json
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
    before, now = _read(path), training_inputs(grid)
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
        sets, weights = _inputs(job)
        entries |= {_place(entry): entry for entry in sets}
        made = any(Path(weights).is_relative_to(folder) for folder in folders)
        file = Path(weights).expanduser()
        if weights and not made and weights not in found and file.is_file():
            found[weights] = sha256_of(file)
    digests = {place: _digest(entry) for place, entry in entries.items() if _is_there(entry)}
    return {_within(grid.output, place): digest for place, digest in (found | digests).items()}


def _inputs(job: Job) -> tuple[list[DatasetEntry], str]:
    """Returns a run's training sets and the weights that its command names; "" without any."""
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    args = parser.parse_args(job.arguments)
    if args.eval_only:
        return [], ""
    sets = [parse_data_argument(text) for text in args.train_data]
    if not sets:
        cfg = load_config(args.config_file, args.opts).cfg
        sets = [find_dataset(name, {}) for name in cfg.DATASETS.TRAIN]
    pairs = dict(zip(args.opts[::2], args.opts[1::2], strict=False))
    return sets, pairs.get("MODEL.WEIGHTS", "")


def _place(entry: DatasetEntry) -> str:
    return f"{entry.json_file}:{entry.location}" if entry.json_file else entry.location


def _within(output: Path, place: str) -> str:
    """Returns a place as it stays when the study is moved, folder and all."""
    return place.replace(f"{output}/", "")


def _is_there(entry: DatasetEntry) -> bool:
    if entry.address:
        return True
    if entry.json_file:
        return entry.json_file.is_file() and entry.image_root.is_dir()
    return _folder(entry).is_dir()


def _folder(entry: DatasetEntry) -> Path:
    """Returns the folder of a classification set; of shards it may be the names, in braces."""
    return entry.image_root.parent if "{" in entry.image_root.name else entry.image_root


def _digest(entry: DatasetEntry) -> str:
    digest = hashlib.sha256()
    files: Iterable[tuple[str, int]]
    if entry.address:
        files = [(entry.address, 0)]
    elif entry.json_file:
        parts = [entry.json_file, *([entry.panoptic.json_file] if entry.panoptic else [])]
        digest.update("".join(sha256_of(part) for part in parts if part.is_file()).encode())
        files = _images(entry.json_file, entry.image_root)
    else:
        files = sorted(_files(_folder(entry)))
    for name, size in files:
        digest.update(f"\n{name}\0{size}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _images(json_file: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """Yields the images that an annotation file names, and their sizes in bytes, -1 if missing."""
    content = read_json(json_file)
    images = content.get("images") if isinstance(content, dict) else None
    for image in images if isinstance(images, list) else []:  # the run says what is wrong with it
        name = str(image.get("file_name", "")) if isinstance(image, dict) else ""
        try:
            yield name, os.stat(folder / name).st_size
        except (OSError, ValueError):
            yield name, -1


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Yields every file below a folder and its size in bytes; class folders may be links."""
    waiting = [(folder, "", True)]
    while waiting:
        place, before, is_top = waiting.pop()
        with os.scandir(place) as found:
            for item in found:
                if item.is_dir(follow_symlinks=is_top):
                    waiting.append((place / item.name, f"{before}{item.name}/", False))
                elif item.is_file():
                    yield before + item.name, item.stat().st_size


def _read(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}): give another --output") from None
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise UserError(f"{path}: is no list of digests: give another --output")
    return content
