"""The input path beside Detectron2's own: names, files, pixels, boxes, shares. Detectron2."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode
from PIL import Image

from resnext_det.data.catalog import DatasetEntry, builtin_names, find_dataset
from resnext_det.data.coco import CocoRecord, load_coco
from resnext_det.data.image_files import read_image
from resnext_det.data.mapper import mapper_from_config
from resnext_det.data.needs import Needs
from resnext_det.data.samplers import SampleKey, rank_chunk
from resnext_det.data.transforms import ResizeShortestEdge, resize_boxes
from resnext_det.seeding import derive_seed
from tests.data.annotated import write_annotated

pytestmark = pytest.mark.d2


def test_names_and_folders_are_detectron2s() -> None:
    from detectron2.data.datasets import builtin

    theirs = {**builtin._PREDEFINED_SPLITS_COCO["coco"]}
    theirs |= builtin._PREDEFINED_SPLITS_COCO["coco_person"]
    for name in builtin._PREDEFINED_SPLITS_COCO_PANOPTIC:
        theirs[f"{name}_separated"] = theirs[name.removesuffix("_panoptic")]
    ours = {
        name: find_dataset(name, {}, Path("d"))
        for name in builtin_names()
        if not name.startswith(("imagenet", "cifar"))  # Detectron2 has no classification
    }
    assert {
        name: (str(entry.image_root), str(entry.json_file)) for name, entry in ours.items()
    } == {name: (f"d/{images}", f"d/{json}") for name, (images, json) in theirs.items()}


def test_panoptic_folders_are_detectron2s() -> None:
    from detectron2.data.datasets import builtin

    for name, theirs in builtin._PREDEFINED_SPLITS_COCO_PANOPTIC.items():
        files = find_dataset(f"{name}_separated", {}, Path("d")).panoptic
        assert files is not None
        ours = (files.panoptic_root, files.json_file, files.stuff_root)
        assert [str(path) for path in ours] == [f"d/{path}" for path in theirs]


@pytest.mark.parametrize("name", ["annotated", "coco128"])
def test_masks_and_keypoints_are_detectron2s(
    name: str, tmp_path: Path, shared: Callable[[str], Path]
) -> None:
    from detectron2.data.datasets import load_coco_json

    from resnext_det.engines.d2.datasets import to_dataset_dict

    if name == "coco128":
        folder = shared(name)
        entry = DatasetEntry(name, folder / "native_train.json", folder / "images")
    else:
        entry = write_annotated(tmp_path)
    needs = Needs(masks=True, keypoints=name == "annotated")
    ours = load_coco(entry, training=True, needs=needs).records
    theirs = load_coco_json(str(entry.json_file), str(entry.image_root), f"{name}_like_ours")
    compared = 0
    for record, image in zip(ours, theirs, strict=True):
        dictionary = to_dataset_dict(record)
        for mine, their in zip(dictionary["annotations"], image["annotations"], strict=True):
            if mine["iscrowd"]:  # never trained on
                continue
            compared += 1
            assert [p.tolist() for p in mine["segmentation"]] == their["segmentation"]
            assert mine.get("keypoints") == their.get("keypoints")
    assert compared > 10


def test_detectron2_reads_the_same(shared: Callable[[str], Path]) -> None:
    from detectron2.data.datasets import load_coco_json
    from detectron2.structures import BoxMode

    folder = shared("coco128")
    paths = folder / "native_train.json", folder / "images"
    ours = load_coco(DatasetEntry("set", *paths), training=True).records
    theirs = load_coco_json(str(paths[0]), str(paths[1]), "records_like_ours")
    assert [record.file_name for record in ours] == [d["file_name"] for d in theirs]
    for record, d in zip(ours, theirs, strict=True):
        boxes = [
            BoxMode.convert(a["bbox"], BoxMode.XYWH_ABS, BoxMode.XYXY_ABS) for a in d["annotations"]
        ]
        np.testing.assert_array_equal(record.boxes, np.float32(boxes).reshape(-1, 4))
        assert record.classes.tolist() == [a["category_id"] for a in d["annotations"]]


@pytest.mark.parametrize(("total", "world"), [(10, 3), (5, 4), (7, 1)])
def test_chunks_are_detectron2s(total: int, world: int) -> None:
    from detectron2.data.samplers import InferenceSampler

    for rank in range(world):
        theirs = InferenceSampler._get_local_indices(total, world, rank)
        assert rank_chunk(total, rank, world) == theirs


def test_odd_real_images_are_read_as_detectron2_does(shared: Callable[[str], Path]) -> None:
    from detectron2.data.detection_utils import read_image as theirs

    folder = shared("malformed")
    readable = [i for i in json.loads((folder / "index.json").read_text()) if i["pillow"] == "ok"]
    assert len(readable) > 30
    for item in readable:
        path = str(folder / item["file"])
        for order in ("RGB", "BGR"):
            np.testing.assert_array_equal(read_image(path, order), theirs(path, order))


def test_output_sizes_are_detectron2s() -> None:
    from detectron2.data.transforms import ResizeShortestEdge as Theirs

    random = np.random.RandomState(0)
    resize = ResizeShortestEdge((800,), 1333)
    for height, width, short in random.randint(1, 1500, (3000, 3)).tolist():
        assert resize.output_size(height, width, short) == Theirs.get_output_shape(
            height, width, short, 1333
        )


def detectron2_config(cfg: CfgNode) -> Any:
    from detectron2.config import get_cfg

    theirs = get_cfg()
    for key in ("FORMAT", "MIN_SIZE_TRAIN_SAMPLING", "MAX_SIZE_TRAIN", "MIN_SIZE_TEST",
                "MAX_SIZE_TEST", "RANDOM_FLIP"):  # fmt: skip
        theirs.INPUT[key] = cfg.INPUT[key]
    theirs.INPUT.MIN_SIZE_TRAIN = tuple(cfg.INPUT.MIN_SIZE_TRAIN)
    return theirs


def as_dict(record: CocoRecord) -> dict[str, Any]:
    """Returns the record in Detectron2's form; boxes are lists of floats."""
    annotations = [
        {"bbox": box, "bbox_mode": 0, "category_id": number, "iscrowd": int(crowd)}
        for box, number, crowd in zip(
            record.boxes.astype(float).tolist(),
            record.classes.tolist(),
            record.iscrowd,
            strict=True,
        )
    ]
    return {
        "file_name": record.file_name,
        "height": record.height,
        "width": record.width,
        "image_id": record.image_id,
        "annotations": annotations,
    }


def exif_records(folder: Path) -> list[CocoRecord]:
    """Real photographs with EXIF orientations 1-8, sizes given upright, with a few boxes."""
    made = []
    odd = ("mmcv__tests_data_color_exif", "pillow__Tests_images_pil_sample_cmyk")
    rotated = sorted(folder.glob("pillow__Tests_images_hopper_orientation_*.jpg"))
    for path in [*rotated, *(folder / f"{name}.jpg" for name in odd)]:
        with Image.open(path) as image:
            width, height = image.size
            if image.getexif().get(274, 1) >= 5:
                width, height = height, width
        boxes = [[-0.4, 3.3, 50.7, 60.1], [20.2, 10.9, width + 0.7, height + 0.3], [5, 6, 5, 9]]
        made.append(
            CocoRecord(
                path.name,
                str(path),
                height,
                width,
                np.float32(boxes),
                np.array([0, 2, 1]),
                np.zeros(3, dtype=np.bool_),
            )
        )
    return made


def compare(cfg: CfgNode, some: list[CocoRecord]) -> None:
    from detectron2.data import DatasetMapper

    train = DatasetMapper(detectron2_config(cfg), is_train=True)
    test = DatasetMapper(detectron2_config(cfg), is_train=False)
    ours = mapper_from_config(cfg, 11)
    for place, record in enumerate(some):
        key = SampleKey(iteration=2, position=place, index=place)
        np.random.seed(derive_seed(11, key.iteration, key.position))
        theirs = train(as_dict(record))
        sample = ours(record, key)
        assert torch.equal(sample.image, theirs["image"])
        assert sample.gt_boxes is not None
        assert torch.equal(sample.gt_boxes, theirs["instances"].gt_boxes.tensor)
        assert sample.gt_classes is not None
        assert torch.equal(sample.gt_classes, theirs["instances"].gt_classes)
        evaluated = ours(record, None)
        assert torch.equal(evaluated.image, test(as_dict(record))["image"])


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("flip", ["none", "horizontal", "vertical"])
@pytest.mark.parametrize("style", ["choice", "range"])
def test_equals_detectron2_on_rotated_and_odd_photographs(
    shared: Callable[[str], Path], cfg: CfgNode, style: str, flip: str, order: str
) -> None:
    cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING = style
    cfg.INPUT.MIN_SIZE_TRAIN = [90, 141] if style == "range" else [90, 111, 128, 141]
    cfg.INPUT.MAX_SIZE_TRAIN = 180
    cfg.INPUT.RANDOM_FLIP = flip
    cfg.INPUT.FORMAT = order
    compare(cfg, exif_records(shared("malformed")))


def test_equals_detectron2_on_coco(shared: Callable[[str], Path], cfg: CfgNode) -> None:
    cfg.INPUT.MIN_SIZE_TRAIN = [240, 256, 271]
    cfg.INPUT.MAX_SIZE_TRAIN = 400
    folder = shared("coco128")
    entry = DatasetEntry("t", folder / "native_train.json", folder / "images")
    compare(cfg, list(load_coco(entry, training=True).records[:40]))


def test_whole_number_boxes_keep_their_fraction() -> None:
    """Detectron2 scales a box of integers in integers; the difference is deliberate."""
    from detectron2.data.transforms import ResizeTransform

    box = np.array([[260, 177, 491, 376]])
    theirs = ResizeTransform(480, 640, 333, 444)
    ours = resize_boxes(box.astype(float), (480, 640), (333, 444))
    np.testing.assert_array_equal(ours, theirs.apply_box(box.astype(float)))
    np.testing.assert_array_equal(np.trunc(ours), theirs.apply_box(box))
