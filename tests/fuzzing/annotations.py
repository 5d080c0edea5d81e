"""Annotation files: `load_coco` for training and for scoring, and the survey of problems.

Engine-neutral. The input is the annotation file; images lie beside it. A file that loads is
scored against itself, since what the checks let pass is used after hours of training.
"""

from pathlib import Path
from typing import Any

from PIL import Image
from pycocotools import mask as coco_masks

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import load_coco
from resnext_det.data.coco_records import CocoDataset
from resnext_det.data.coco_survey import survey
from resnext_det.data.needs import BOXES, Needs
from resnext_det.errors import UserError, one_line
from resnext_det.evaluation.coco_ap import evaluate_boxes
from resnext_det.evaluation.coco_input import ground_truth_of
from resnext_det.json_files import read_json
from tests.fuzzing.harness import Harness
from tests.fuzzing.mutations import mutate_json

WIDTH, HEIGHT = 24, 16
IMAGES = ("a.png", "b.png", "x/a.png")
BROKEN = "broken.png"
ALL = Needs(masks=True, keypoints=True)
POLYGONS = Needs(masks=True, polygons=True)


def read(data: bytes, folder: Path, thorough: bool) -> None:
    """Loads the file as a training set and as a test set, in every mode.

    Raises:
        UserError: every mode refuses it.
        AssertionError: the survey of an unreadable file is none, or a loaded set is unsound.
    """
    path = folder / "annotations.json"
    path.write_bytes(data)
    _write_images(folder / "images")
    entry = DatasetEntry("fuzzed", path, folder / "images")
    _survey(path)
    refusals = []
    for training, needs, lenient in (
        (True, BOXES, False), (False, BOXES, True), (True, POLYGONS, True), (False, ALL, False)
    ):  # fmt: skip
        try:
            dataset = load_coco(
                entry,
                training=training,
                drop_bad_boxes=lenient,
                trust_file_names=lenient,
                needs=needs,
            )
        except UserError as error:
            refusals.append(error)
            one_line(str(error)).encode()
        else:
            _check(dataset)
    if len(refusals) == 4:
        raise refusals[0]


def _write_images(folder: Path) -> None:
    (folder / "x").mkdir(parents=True)
    source = _picture(folder.parent)
    for name in IMAGES:
        (folder / name).write_bytes(source)
    (folder / BROKEN).write_bytes(source[:20])


_PICTURE: list[bytes] = []


def _picture(folder: Path) -> bytes:
    if not _PICTURE:
        Image.new("RGB", (WIDTH, HEIGHT), (9, 99, 199)).save(folder / "first.png")
        _PICTURE.append((folder / "first.png").read_bytes())
    return _PICTURE[0]


def _survey(path: Path) -> None:
    try:
        content = read_json(path)
    except UserError:
        return
    for needs in (BOXES, ALL):
        for problem in survey(path.name, content, needs=needs):
            one_line(problem.line(path)).encode()


def _check(dataset: CocoDataset) -> None:
    """Checks that what was loaded is what training and scoring count on."""
    num_classes = len(dataset.class_names)
    for record in dataset.records:
        assert min(record.height, record.width) >= 1
        assert record.boxes.shape == (len(record.classes), 4)
        assert len(record.iscrowd) == len(record.classes)
        assert ((record.classes >= 0) & (record.classes < num_classes)).all()
        if record.outlines is not None:
            assert len(record.outlines) == len(record.classes)
    if dataset.truth is not None:
        evaluate_boxes(ground_truth_of(Path("truth.json"), dataset.truth), [])
        _draw_masks(dataset.truth)


def _draw_masks(truth: dict[str, Any]) -> None:
    """Draws the masks as COCO's scoring does, in C code that trusts them."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    for annotation in truth["annotations"]:
        outline = annotation.get("segmentation")
        if outline is not None:
            height, width = sizes[annotation["image_id"]]
            runs = coco_masks.frPyObjects(outline, height, width)
            coco_masks.area(runs)


HARNESS = Harness(read, mutate_json)
