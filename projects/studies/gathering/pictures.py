"""The images on which two detectors differ most, with their boxes, small. Engine-neutral."""

import base64
import io
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from projects.studies.gathering.comparisons import files_of
from projects.studies.gathering.rows import FinishedCell
from projects.studies.grid import Grid
from projects.studies.test_sets import ScoredSet
from resnext_det.data.file_names import leaves_folder
from resnext_det.data.image_files import open_rgb
from resnext_det.evaluation.results_json import RESULTS_FILE, read_results
from resnext_det.json_files import read_json
from resnext_det.statistics.images import largest_differences

SIDE = 480  # pixels of the longer side: sharp on a phone, some 30 KB in the file
_QUALITY = 80
_SCORE = 0.5
Records = Sequence[Mapping[str, Any]]


def picture_entries(
    grid: Grid, cells: Sequence[FinishedCell], test_set: ScoredSet, count: int
) -> list[dict[str, Any]]:
    """Returns "pictures" of a study's result.json, those of the first pair at its first seed.

    Args:
        grid: the study.
        cells: finished.
        test_set: that they are scored on.
        count: how many at most; boxes below a score of 0.5 are left out.

    Raises:
        UserError: a run's detections are missing.
    """
    if not count or not grid.pairs:
        return []
    sides = [files_of(cells, row, RESULTS_FILE) for row in grid.pairs[0]]
    seed = min(sides[0].keys() & sides[1].keys())
    first, second = (side[seed] for side in sides)
    content = read_json(test_set.annotations)
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    images = {image["id"]: image for image in content["images"]}
    results = [read_results(file) for file in (first, second)]
    labels = [grid.label_of(row) for row in grid.pairs[0]]
    pictures = []
    compared = largest_differences(test_set.annotations, first, second, count, score_thresh=_SCORE)
    for found in compared:
        image = images[found.image_id]
        boxes = [_boxes(records, found.image_id, names) for records in results]
        scores = found.first, found.second
        pictures.append(
            {
                "file_name": image["file_name"],
                **reduced_copy(test_set.entry.image_root, image),
                "truth": _boxes(content["annotations"], found.image_id, names),
                "sides": [
                    {"model": label, "seed": seed, "score": round(score, 1), "boxes": shown}
                    for label, score, shown in zip(labels, scores, boxes, strict=True)
                ],
            }
        )
    return pictures


def _boxes(records: Records, image_id: Hashable, names: Mapping[Any, str]) -> list[dict[str, Any]]:
    """Returns one image's boxes, x, y, w, h in its pixels; those found with their scores."""
    return [
        {
            "bbox": [round(float(side), 1) for side in record["bbox"]],
            "name": names[record["category_id"]],
            **({"score": round(record["score"], 3)} if "score" in record else {}),
        }
        for record in records
        if record["image_id"] == image_id and record.get("score", 1.0) >= _SCORE
    ]


def reduced_copy(folder: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an image's width and height, and a smaller copy of it as a data: address.

    Of an image that is no longer there, or whose name leaves the folder, the boxes alone can be
    drawn, in the size that the annotation file states.

    Args:
        folder: of the images.
        entry: of the image, as the annotation file has it.

    Raises:
        UnreadableImage: it is broken or too large.
    """
    path = folder / entry["file_name"]
    if leaves_folder(entry["file_name"]) or not path.is_file():
        return {"width": entry["width"], "height": entry["height"], "address": None}
    image = open_rgb(str(path))
    size = {"width": image.width, "height": image.height}
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return {
        **size,
        "address": f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}",
    }
