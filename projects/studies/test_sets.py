"""What a study's rows are scored on, and whether it is still the same. Engine-neutral."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projects.studies.grid import Grid
from projects.studies.kept_files import read_kept
from projects.studies.set_digests import is_there, set_digest
from projects.studies.shell import relative_path
from resnext_det.data.catalog import DatasetEntry, builtin_names, find_dataset, parse_data_argument
from resnext_det.errors import UserError
from resnext_det.evaluation.coco_input import read_ground_truth
from resnext_det.whole_files import write_text_safe

TEST_SET = "test_set.json"


@dataclass(frozen=True)
class ScoredSet:
    """A test set as it is now.

    Attributes:
        entry: where it lies.
        digest: SHA-256 of the annotation file and of the images' names and sizes.
        num_images: in it; None of shards on a server.
    """

    entry: DatasetEntry
    digest: str
    num_images: int | None

    @property
    def annotations(self) -> Path:
        """The annotation file of a detection set."""
        assert self.entry.json_file is not None
        return self.entry.json_file


def find_test_set(grid: Grid) -> ScoredSet:
    """Finds a study's test set and takes its digest.

    Raises:
        UserError: a file is missing, or the source is neither a known name nor a place.
    """
    source = grid.test_set.source
    if source in builtin_names():
        entry = find_dataset(source, {})
    else:
        entry = parse_data_argument(f"test_set={source}")
    if (grid.kind == "detection") != (entry.json_file is not None):
        raise UserError(f"test set {source!r}: not one of {grid.kind}")
    if entry.json_file:
        read_ground_truth(entry.json_file)  # says what is wrong with it
    elif not is_there(entry):
        raise UserError(f"{entry.location}: no such folder{entry.hint}")
    digest, number = set_digest(entry)
    return ScoredSet(entry, digest, None if entry.address else number)


def keep_test_set(grid: Grid, found: ScoredSet) -> None:
    """Writes down what the study's rows are scored on, or compares it with what is written.

    Raises:
        UserError: the test set has changed since the study began.
    """
    path = grid.output / TEST_SET
    content = read_kept(path)
    if content is None:
        write_text_safe(path, json.dumps({"digest": found.digest}) + "\n")
        return
    before = content.get("digest")
    if not isinstance(before, str):
        raise UserError(f"{path}: holds no test set's digest: give another --output")
    if before != found.digest:
        place = found.entry.json_file or found.entry.location
        raise UserError(
            f"{place}: the test set has changed since {grid.output} was begun (digest "
            f"{before[:12]}, now {found.digest[:12]}): bring it back, or give another --output"
        )


def dataset_entry(grid: Grid, found: ScoredSet, class_names: list[str]) -> dict[str, Any]:
    """Returns "dataset" of a study's result.json, with paths relative to the study's folder."""
    file, images = found.entry.json_file, found.entry.image_root
    return {
        "description": grid.test_set.description,
        "annotations": file and relative_path(file, grid.output),
        "images": None if found.entry.address else relative_path(images, grid.output),
        "digest": found.digest,
        "num_images": found.num_images,
        "class_names": class_names,
    }
