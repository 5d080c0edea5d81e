"""Whether results are of all images of their annotations. Engine-neutral."""

from pathlib import Path

import numpy as np

from resnext_det.analysis.places import own_set
from resnext_det.analysis.scored_boxes import ScoredBoxes
from resnext_det.errors import UserError
from resnext_det.evaluation.box_arrays import TruthBoxes
from resnext_det.evaluation.results_json import RESULTS_FILE
from resnext_det.json_files import read_json

IMAGES_FILE = "images.json"
"""Beside results, as `resnext-det predict` writes it: the images that were looked at."""


def images_without_detection(boxes: ScoredBoxes) -> int:
    """Returns how many images that have objects have no detection at all."""
    return len(np.setdiff1d(boxes.truth.images[boxes.sought], boxes.images))


def coverage_note(boxes: ScoredBoxes, results: Path) -> str:
    """Returns a sentence on images that are missing from results; empty where none is.

    Args:
        boxes: the detections.
        results: their file.
    """
    total, looked_at = boxes.truth.num_images, _num_looked_at(boxes, results)
    if looked_at is not None and looked_at < total:
        return (
            f"Only {looked_at:,} of the {total:,} images were looked at: the objects in the others "
            "count as not found."
        )
    empty = images_without_detection(boxes)
    if looked_at is not None or not empty:
        return ""
    sought = len(np.unique(boxes.truth.images[boxes.sought]))
    told = f"{empty:,} of the {sought:,} images with objects have no detection at all"
    if _is_of_run(boxes, results):
        return f"{told}."
    return f"{told}: if they were not looked at, the results are partial, and AP is too low."


def _is_of_run(boxes: ScoredBoxes, results: Path) -> bool:
    """Tells whether a run made the results for these annotations: it looks at every image."""
    if results.name != RESULTS_FILE.name:
        return False
    try:
        found = own_set(results)
    except UserError:
        return False
    return found is not None and found[0].resolve() == boxes.truth.path.resolve()


def check_names(truth: TruthBoxes, results: Path) -> None:
    """Refuses results whose ids are of other images than the annotations' are.

    Args:
        truth: the annotations.
        results: a file; without `IMAGES_FILE` beside it nobody knows.

    Raises:
        UserError: an id is of two images by name.
    """
    known = _names_looked_at(results) or {}
    for key, name in zip(truth.image_ids, truth.file_names, strict=True):
        other = known.get(str(key), "")
        if name and other and Path(name).name != Path(other).name:
            raise UserError(
                f"{results}: its image {key} is {other}, and {name} in {truth.path}: numbered on "
                f"their own; give predict --annotations {truth.path}"
            )


def _num_looked_at(boxes: ScoredBoxes, results: Path) -> int | None:
    """Returns how many of the images a prediction looked at; None where nobody knows."""
    known = _names_looked_at(results)
    return None if known is None else sum(str(key) in known for key in boxes.truth.image_ids)


def _names_looked_at(results: Path) -> dict[str, str] | None:
    """Returns the names of the images that a prediction looked at, by id as text."""
    path = results.with_name(IMAGES_FILE)
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        return {str(image["id"]): str(image.get("file_name", "")) for image in content["images"]}
    except (UserError, KeyError, TypeError, AttributeError):
        return None  # somebody else's file of this name
