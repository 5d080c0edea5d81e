"""From what a user names to the results and the annotations that belong to it. Engine-neutral."""

import filecmp
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resnext_det.data.catalog import builtin_names, find_dataset
from resnext_det.errors import UserError
from resnext_det.evaluation.results_json import RESULTS_FILE
from resnext_det.json_files import read_json

_RESULT = "result.json"
CHECKPOINTS = (".pth", ".pkl", ".safetensors")


@dataclass(frozen=True)
class Subject:
    """Something that is evaluated.

    Attributes:
        name: what the user calls it.
        results: COCO results.
        annotations: what they were made for.
        images: the images' folder; None where it is not known.
    """

    name: str
    results: Path
    annotations: Path
    images: Path | None


def locate(source: str, annotations: Path | None, images: Path | None) -> Subject:
    """Finds a run's results, or takes the file that is named.

    Args:
        source: a run's folder, that of a prediction, or a results file.
        annotations: as the user gave them; None for those of the run.
        images: the same.

    Raises:
        UserError: there is no such thing, the run has no results yet, or nobody knows what they
            were made for.
    """
    path = Path(source)
    if path.is_dir():
        return _of_run(path, annotations, images)
    if not path.exists():
        raise UserError(f"{source}: no such run folder, checkpoint or results file")
    if path.name == _RESULT:
        raise UserError(f"{source}: what a run measured, without its boxes: give the run's folder")
    if annotations is None:
        raise UserError(
            f"{source}: a results file does not say what it was made for: give --annotations JSON"
        )
    return Subject(source, path, annotations, images)


def check_same_set(first: Subject, second: Subject) -> None:
    """Refuses two results of different annotations.

    Raises:
        UserError: the files differ.
    """
    one, other = first.annotations, second.annotations
    if one == other or (one.exists() and other.exists() and filecmp.cmp(one, other, False)):
        return
    raise UserError(
        f"--compare: {first.name} was scored on {one}, {second.name} on {other}: only results on "
        "the same images can be compared; evaluate both on one set, or give --annotations JSON"
    )


def _of_run(folder: Path, annotations: Path | None, images: Path | None) -> Subject:
    is_inside = folder.name == RESULTS_FILE.parent.name or (folder / RESULTS_FILE.name).exists()
    inference = folder if is_inside else folder / RESULTS_FILE.parent
    results = inference / RESULTS_FILE.name
    if not results.exists():
        _explain(folder, inference)
    if annotations is not None:
        return Subject(str(folder), results, annotations, images)
    found = own_set(results)
    if found is None:
        raise UserError(
            f"{folder}: nothing there says where the test set lies: give --annotations JSON"
        )
    known = Subject(str(folder), results, *found)
    return known if images is None else replace(known, images=images)


def own_set(results: Path) -> tuple[Path, Path | None] | None:
    """Returns the annotations and images that a run made its results for.

    Returns:
        None where they are no run's, or it does not say.

    Raises:
        UserError: the run's result.json is damaged.
    """
    for place in (results.parent.parent / _RESULT, results.parent / _RESULT):
        found = _of_result(place) if place.is_file() else None
        if found is not None:
            return found
    return None


def _explain(folder: Path, inference: Path) -> None:
    """Says why a run has no results where they are sought.

    Raises:
        UserError: always.
    """
    several = sorted(path.parent for path in inference.glob(f"*/{RESULTS_FILE.name}"))
    if several:
        raise UserError(
            f"{folder}: was tested on {len(several)} sets: give one's results file, as "
            f"{several[0] / RESULTS_FILE.name}, and its --annotations JSON"
        )
    if (folder / _RESULT).exists() and (folder / "metrics.json").exists():
        raise UserError(
            f"{folder}: the run was tested on no set, it has no {RESULTS_FILE}: give its "
            "checkpoint with --test-data NAME=JSON:IMAGES"
        )
    if (folder / "last_checkpoint").exists() or (folder / "metrics.json").exists():
        raise UserError(
            f"{folder}: the run is not finished, it has no {RESULTS_FILE}: go on with --resume, or "
            "give its checkpoint with --test-data NAME=JSON:IMAGES"
        )
    raise UserError(f"{folder}: not a detection run's folder, it has no {RESULTS_FILE}")


def _of_result(path: Path) -> tuple[Path, Path | None] | None:
    """Returns the annotations and images that a run's result.json tells of."""
    content = read_json(path)
    sets = content.get("test_sets") if isinstance(content, dict) else None
    if isinstance(sets, dict) and len(sets) == 1:
        known = next(iter(sets.values()))
        if isinstance(known, dict) and isinstance(known.get("annotations"), str):
            return Path(known["annotations"]), Path(str(known.get("images", "")))
    names = _test_names(content)
    if len(names) == 1 and names[0] in builtin_names():  # of a run older than test_sets
        entry = find_dataset(names[0], {})
        if entry.json_file is not None:
            return entry.json_file, entry.image_root
    return None


def _test_names(content: Any) -> Sequence[str]:
    try:
        return [str(name) for name in content["config"]["DATASETS"]["TEST"]]
    except (KeyError, TypeError):
        return ()


def is_checkpoint(source: str) -> bool:
    """Whether a word names weights: by its ending, for a folder or JSON is never one."""
    return source.endswith(CHECKPOINTS) and not Path(source).is_dir()
