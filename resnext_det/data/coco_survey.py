"""Every problem of an annotation file, as far as the file alone tells. Engine-neutral.

The checks are those of `load_coco`, in its order. What one check finds unsound is left out of
the next ones, so that one mistake is not told twice.
"""

from collections.abc import Iterator
from typing import Any

from resnext_det.data.coco_boxes import box_problems
from resnext_det.data.coco_checks import (
    id_problems,
    layout_problems,
    sound_items,
    unsound_ids,
)
from resnext_det.data.coco_keypoints import (
    absent_keypoints,
    keypoint_name_problems,
    keypoint_problems,
)
from resnext_det.data.coco_outlines import absent_masks, outline_problems
from resnext_det.data.coco_problems import Problem
from resnext_det.data.coco_values import (
    annotation_value_problems,
    image_value_problems,
    is_length,
    is_outline,
)
from resnext_det.data.needs import BOXES, Needs


def survey(
    name: str,
    content: Any,
    *,
    training: bool = True,
    needs: Needs = BOXES,
    trust_file_names: bool = False,
) -> Iterator[Problem]:
    """Yields every problem of an annotation file, in the order in which `load_coco` checks.

    Boxes that `DATASETS.DROP_BAD_BOXES` leaves out are problems here, too.

    Args:
        name: of the file; COCO's "minival" files may repeat annotation ids.
        content: what JSON it holds; not changed.
        training: whether it is checked as a training set.
        needs: what the detector reads beside boxes.
        trust_file_names: the key `DATASETS.TRUST_FILE_NAMES`.
    """
    yield from layout_problems(content)
    sound = {name: sound_items(content, name) for name in ("images", "annotations", "categories")}
    told = {section: unsound_ids(content, section) for section in ("images", "categories")}
    yield from id_problems(name, sound, told)
    yield from image_value_problems(sound["images"], trusted=trust_file_names)
    yield from annotation_value_problems(sound["annotations"])
    placed = _placed(sound)
    yield from box_problems(placed)
    yield from _extra_problems(placed, needs, training=training)


def _placed(sound: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Returns the content whose images have a size, and whose annotations such an image."""
    images: dict[int | str, dict[str, Any]] = {}
    for image in sound["images"]:
        if is_length(image["height"]) and is_length(image["width"]):
            images.setdefault(image["id"], image)
    annotations = [a for a in sound["annotations"] if a["image_id"] in images]
    return {**sound, "images": list(images.values()), "annotations": annotations}


def _extra_problems(
    content: dict[str, list[dict[str, Any]]], needs: Needs, *, training: bool
) -> Iterator[Problem]:
    lengths = {i["id"]: (int(i["height"]), int(i["width"])) for i in content["images"]}
    if needs.masks:
        outlined = [a for a in content["annotations"] if is_outline(a.get("segmentation"))]
        yield from absent_masks(outlined, training=training)
        sizes = [lengths[annotation["image_id"]] for annotation in outlined]
        polygons = needs.polygons and training
        yield from outline_problems(outlined, sizes, tolerant=False, polygons=polygons)
    if needs.keypoints:
        annotations, categories = content["annotations"], content["categories"]
        sizes = [lengths[annotation["image_id"]] for annotation in annotations]
        problems = list(keypoint_name_problems(categories))
        yield from problems
        yield from absent_keypoints(annotations)
        if categories and not problems:
            number = len(categories[0]["keypoints"])
            yield from keypoint_problems(annotations, sizes, number)
