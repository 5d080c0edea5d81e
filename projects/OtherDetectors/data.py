"""A handful of COCO images in the folders where Detectron2 looks for COCO. Engine-neutral."""

import json
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError

MAX_BOXES = 3
MIN_AREA = 60.0 * 60.0  # square pixels


def write_coco_folder(annotations: Path, images: Path, folder: Path, number: int) -> Path:
    """Makes coco_2017_train and coco_2017_val of the same few images with few, large objects.

    Args:
        annotations: a COCO file with COCO's own category ids.
        images: its images.
        folder: what `DETECTRON2_DATASETS` is set to afterwards; images are linked, not copied.
        number: images to take.

    Returns:
        The annotation file of coco_2017_val.

    Raises:
        UserError: the file has fewer such images.
    """
    content = json.loads(annotations.read_text())
    chosen = easy_images(content)[:number]
    if len(chosen) < number:
        raise UserError(
            f"{annotations}: only {len(chosen)} images have 1 … {MAX_BOXES} large boxes"
        )
    ids = {image["id"] for image in chosen}
    kept = [entry for entry in content["annotations"] if entry["image_id"] in ids]
    text = json.dumps({**content, "images": chosen, "annotations": kept})
    coco = folder / "coco"
    (coco / "annotations").mkdir(parents=True, exist_ok=True)
    for name in ("train2017", "val2017"):
        (coco / "annotations" / f"instances_{name}.json").write_text(text)
        (coco / name).unlink(missing_ok=True)
        (coco / name).symlink_to(images.resolve(), target_is_directory=True)
    return coco / "annotations" / "instances_val2017.json"


def easy_images(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the images with one to three objects, all large and none of them a crowd."""
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for entry in content["annotations"]:
        by_image.setdefault(entry["image_id"], []).append(entry)

    def is_easy(entries: list[dict[str, Any]]) -> bool:
        few = 1 <= len(entries) <= MAX_BOXES
        return few and not any(e.get("iscrowd") or e["area"] < MIN_AREA for e in entries)

    return [image for image in content["images"] if is_easy(by_image.get(image["id"], []))]
