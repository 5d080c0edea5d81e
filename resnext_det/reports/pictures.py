"""Sample images with named boxes, as data addresses for a page. Engine-neutral."""

import base64
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from resnext_det.data.file_names import leaves_folder, name_flaw, shown_name
from resnext_det.data.image_files import open_rgb
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.evaluation.drawing import FOUND_COLOR, TRUTH_COLOR, NamedBox, draw_boxes


@dataclass(frozen=True)
class Picture:
    """One image of a page.

    Attributes:
        address: a data: address.
        caption: what stands below it.
    """

    address: str
    caption: str


def sample_pictures(
    ground_truth: Mapping[str, Any],
    images: Path,
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    count: int = 4,
    score_thresh: float = 0.5,
) -> list[list[Picture]]:
    """Draws ground truth and each model's boxes on evenly spaced images that have boxes.

    Args:
        ground_truth: COCO annotation content.
        images: folder of the images.
        results: model label -> COCO result records.
        count: how many images.
        score_thresh: boxes scored below it are not drawn.

    Returns:
        Per image that can be read: the ground truth's picture, then one per model.

    Raises:
        ValueError: a file name leaves the folder.
    """
    names = {category["id"]: str(category["name"]) for category in ground_truth["categories"]}
    truth = _by_image(ground_truth["annotations"])
    found = {label: _by_image(records) for label, records in results.items()}
    candidates = [image for image in ground_truth["images"] if truth.get(image["id"])]
    step = max(1, len(candidates) // max(1, count))
    rows = []
    for entry in candidates[::step][:count]:
        if name_flaw(entry["file_name"]) or leaves_folder(entry["file_name"]):
            raise ValueError(f"file_name {shown_name(entry['file_name'])} leaves the image folder")
        try:
            image = open_rgb(str(images / entry["file_name"]))
        except UnreadableImage:  # a run sets it aside, and names it
            continue
        key = entry["id"]
        boxes = [NamedBox(tuple(a["bbox"]), names[a["category_id"]]) for a in truth[key]]
        row = [Picture(draw(image, boxes, TRUTH_COLOR), "ground truth")]
        for label, records in found.items():
            kept = [r for r in records.get(key, []) if r["score"] >= score_thresh]
            boxes = [
                NamedBox(tuple(r["bbox"]), f"{names[r['category_id']]} {100 * r['score']:.0f}%")
                for r in kept
            ]
            row.append(Picture(draw(image, boxes, FOUND_COLOR), label))
        rows.append(row)
    return rows


def draw(image: Image.Image, boxes: Sequence[NamedBox], color: str) -> str:
    """Draws boxes on an enlarged or reduced copy of an image.

    Returns:
        A data: address of a JPEG; see `draw_boxes`.
    """
    file = io.BytesIO()
    draw_boxes(image, boxes, color).save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _by_image(records: Sequence[Mapping[str, Any]]) -> dict[Any, list[Mapping[str, Any]]]:
    grouped: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        grouped[record["image_id"]].append(record)
    return grouped
