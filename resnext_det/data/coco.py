"""COCO-format annotation files as plain records. Engine-neutral.

Classes are numbered 0 … K-1 in the order of their category ids, as Detectron2 does.
`coco_checks`, `coco_values`, `coco_boxes` and `image_headers` hold what can be wrong.
"""

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco_boxes import BoxVerdict, box_value_problems, judge_boxes
from resnext_det.data.coco_checks import (
    check_images_exist,
    count_unlisted,
    id_problems,
    layout_problems,
)
from resnext_det.data.coco_extras import Extras, read_extras
from resnext_det.data.coco_mending import mend, mend_separators, mended_line
from resnext_det.data.coco_problems import refuse_first
from resnext_det.data.coco_records import (
    CocoDataset,
    CocoRecord,
    check_same_classes,
    join_datasets,
)
from resnext_det.data.coco_truth import truth_of
from resnext_det.data.coco_values import annotation_value_problems, image_value_problems
from resnext_det.data.file_names import TRUST_KEY, leaving, shown_name
from resnext_det.data.image_headers import StatedImage, check_headers, spread
from resnext_det.data.needs import BOXES, Needs
from resnext_det.data.panoptic import check_label_file
from resnext_det.data.set_aside import BrokenImage
from resnext_det.errors import UserError
from resnext_det.json_files import read_json

__all__ = ["CocoDataset", "CocoRecord", "check_same_classes", "join_datasets", "load_coco"]

logger = logging.getLogger(__name__)


def load_coco(
    entry: DatasetEntry,
    *,
    training: bool,
    drop_bad_boxes: bool = False,
    trust_file_names: bool = False,
    needs: Needs = BOXES,
) -> CocoDataset:
    """Reads and checks a COCO annotation file.

    Boxes that overhang the image by up to 1 px are taken as rounding; the mapper clips
    them. Boxes of zero size, wholly outside, or overhanging further are refused, unless
    they are crowd regions (never trained on), or the set is a published one, or
    `drop_bad_boxes` is given: then the first two kinds are left out with one log line.
    The headers of the images are read as `image_headers` says.

    Args:
        entry: where the set lies.
        training: whether it must hold at least one object to learn from. A set without
            annotations (COCO's test images) loads only where this is False.
        drop_bad_boxes: the key `DATASETS.DROP_BAD_BOXES`.
        trust_file_names: the key `DATASETS.TRUST_FILE_NAMES`: file names may leave the folder.
        needs: what the detector reads beside boxes; see `coco_extras` for what is checked then.

    Raises:
        UserError: a file, folder or image is missing, the file is not COCO, ids repeat or
            refer to nothing, a value or box is unusable, an image is of another size, or all
            that are looked at are broken. One line, naming the first culprit.
    """
    path = _annotation_path(entry)
    content = read_json(path)
    if not training and isinstance(content, dict):
        content.setdefault("annotations", [])
    _check_content(path, content, trusted=trust_file_names)
    _check_files(entry, path, content)
    tolerant = drop_bad_boxes or entry.published
    verdict = judge_boxes(path, content, tolerant=tolerant, published=entry.published)
    _log_left_out(path, verdict)
    extras = read_extras(
        entry,
        path,
        content,
        needs,
        training=training,
        tolerant=tolerant,
        trust_file_names=trust_file_names,
    )
    dataset = _assemble(entry, content, verdict, extras)
    if training and needs.objects and not any(record.usable for record in dataset.records):
        raise UserError(f"{path}: no image has a usable box, so there is nothing to train on")
    dataset = replace(dataset, broken=_check_pictures(dataset, training=training))
    return dataset if training else replace(dataset, truth=truth_of(content, extras))


def _check_pictures(dataset: CocoDataset, *, training: bool) -> tuple[BrokenImage, ...]:
    """Reads the headers of images and of pictures of labels; returns the broken images."""
    chosen = spread(dataset.records, training=training)
    images = [StatedImage(record.file_name, (record.height, record.width)) for record in chosen]
    broken = check_headers(dataset.entry.name, images)
    for record in chosen:
        if record.label_file:
            check_label_file(record.label_file, (record.height, record.width))
    return broken


def _check_content(path: Path, content: Any, *, trusted: bool) -> None:
    """Checks the values of a file, after a try to mend where one is wrong.

    Raises:
        UserError: the first that is still wrong.
    """
    checks = (
        lambda: layout_problems(content),
        lambda: id_problems(path.name, content),
        lambda: image_value_problems(content["images"], trusted=trusted),
        lambda: annotation_value_problems(content["annotations"]),
        lambda: box_value_problems(content),
    )
    if all(next(check(), None) is None for check in checks):
        return
    line = mended_line(path, mend(content))
    for check in checks:
        refuse_first(path, check())
    if line:
        logger.warning(line)


def _check_files(entry: DatasetEntry, path: Path, content: dict[str, Any]) -> None:
    """Checks that the images are there, and says what is odd about names."""
    if line := mended_line(path, mend_separators(entry.image_root, content)):
        logger.warning(line)
    names = [image["file_name"] for image in content["images"]]
    if away := leaving(names):
        logger.warning(
            "%s: %d of %d file names leave %s, which %s True allows; the first is %s",
            path, len(away), len(names), entry.image_root, TRUST_KEY, shown_name(away[0]),
        )  # fmt: skip
    check_images_exist(entry, names)
    unlisted = count_unlisted(entry.image_root, names)
    if unlisted:
        logger.info("%s: %d image(s) there are not in %s", entry.image_root, unlisted, path)
    counts = Counter(category["name"] for category in content["categories"])
    if repeated := [name for name, count in counts.items() if count > 1]:
        logger.warning(
            "%s: %d class name(s) stand for several categories, the first is '%s'; each category "
            "is a class of its own", path, len(repeated), repeated[0],
        )  # fmt: skip


def _log_left_out(path: Path, verdict: BoxVerdict) -> None:
    if verdict.dropped:
        logger.warning(verdict.message)
    if verdict.unoutlined:
        logger.warning(
            "%s: %d annotation(s) whose polygons all have fewer than three points or an odd number "
            "of values are left out, as Detectron2 does",
            path, verdict.unoutlined,
        )  # fmt: skip


def _kind(entry: DatasetEntry) -> str:
    return "has an address" if entry.address else "is a folder"


def _annotation_path(entry: DatasetEntry) -> Path:
    """Returns the annotation file after checking that it and the image folder exist."""
    if entry.json_file is None:
        raise UserError(
            f"data set '{entry.name}' {_kind(entry)} ({entry.location}); detection needs "
            f"{entry.name}=annotations.json:images/"
        )
    if not entry.json_file.is_file():
        what = "a folder, not a file" if entry.json_file.is_dir() else "no such file"
        raise UserError(
            f"{entry.json_file}: {what}; it should hold the annotations of data set "
            f"'{entry.name}'{entry.hint}"
        )
    if not entry.image_root.is_dir():
        what = "a file, not a folder" if entry.image_root.exists() else "no such folder"
        raise UserError(
            f"{entry.image_root}: {what}; it should hold the images of data set "
            f"'{entry.name}'{entry.hint}"
        )
    return entry.json_file


def _assemble(
    entry: DatasetEntry, content: dict[str, Any], verdict: BoxVerdict, extras: Extras
) -> CocoDataset:
    """Builds the records from content that passed every check."""
    categories = sorted(content["categories"], key=lambda category: category["id"])
    class_of = {category["id"]: index for index, category in enumerate(categories)}
    rows: dict[int | str, list[int]] = {image["id"]: [] for image in content["images"]}
    annotations = content["annotations"]
    for row in np.flatnonzero(verdict.keep).tolist():
        rows[annotations[row]["image_id"]].append(row)
    classes = np.array([class_of[a["category_id"]] for a in annotations], dtype=np.int64)
    crowd = np.array([a.get("iscrowd", 0) for a in annotations], dtype=np.bool_)
    # Detectron2 adds the size to the corner in float32; the sum must round alike.
    boxes = verdict.boxes.astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    records = tuple(
        CocoRecord(
            image_id=image["id"],
            file_name=str(entry.image_root / image["file_name"]),
            height=int(image["height"]),
            width=int(image["width"]),
            boxes=boxes[rows[image["id"]]],
            classes=classes[rows[image["id"]]],
            iscrowd=crowd[rows[image["id"]]],
            **extras.of_image(image["file_name"], rows[image["id"]]),
        )
        for image in sorted(content["images"], key=lambda image: image["id"])
    )
    return CocoDataset(
        entry=entry,
        records=records,
        class_names=tuple(str(category["name"]) for category in categories),
        category_ids=tuple(category["id"] for category in categories),
        dropped_boxes=verdict.dropped,
        keypoints=extras.names,
        stuff=extras.stuff,
    )
