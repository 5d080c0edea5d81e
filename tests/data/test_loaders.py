"""Loaders with and without workers: order, resume, ranks, errors. Engine-neutral."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode
from PIL import Image

from resnext_det.config import get_cfg
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import CocoDataset, load_coco
from resnext_det.data.loaders import (
    build_detection_test_loader,
    build_detection_train_loader,
    build_validation_loader,
    filters_empty,
    num_trainable,
    trainable_records,
)
from resnext_det.data.mapper import mapper_from_config
from resnext_det.data.needs import Needs
from resnext_det.data.packed import PackedList
from resnext_det.data.samplers import BatchPlan, StandIns
from resnext_det.data.set_aside import SetAsideImages
from resnext_det.errors import UserError
from resnext_det.structures import DetectionSample
from tests.data.annotated import write_annotated

Writer = Callable[..., tuple[Path, Path]]


@pytest.fixture
def dataset(write_coco: Writer) -> CocoDataset:
    return load_coco(DatasetEntry("t", *write_coco()), training=True)


@pytest.fixture
def many(tmp_path: Path) -> CocoDataset:
    """Eight images, six wide and two tall, with a box each; the tall ones are 0 and 1."""
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": 1, "name": "thing"}]
    noise = np.random.RandomState(0)
    (tmp_path / "many").mkdir()
    for number in range(8):
        height, width = (60, 40) if number < 2 else (40, 60)
        pixels = noise.randint(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "many" / f"{number}.png")
        size = {"height": height, "width": width}
        content["images"].append({"id": number, "file_name": f"{number}.png", **size})
        box = {"category_id": 1, "bbox": [2, 2, 30, 30]}
        content["annotations"].append({"id": number, "image_id": number, **box})
    path = tmp_path / "many.json"
    path.write_text(json.dumps(content))
    return load_coco(DatasetEntry("many", path, tmp_path / "many"), training=True)


def same(first: DetectionSample, second: DetectionSample) -> bool:
    assert first.gt_boxes is not None
    assert second.gt_boxes is not None
    return first.image_id == second.image_id and torch.equal(first.image, second.image) and (
        torch.equal(first.gt_boxes, second.gt_boxes)
    )  # fmt: skip


def test_workers_and_resume_change_nothing(dataset: CocoDataset, cfg: CfgNode) -> None:
    whole = list(build_detection_train_loader(cfg, dataset))
    assert [len(batch) for batch in whole] == [4] * 6
    cfg.DATALOADER.NUM_WORKERS = 2
    late = list(build_detection_train_loader(cfg, dataset, start_iteration=2))
    assert len(late) == 4
    for one, other in zip(whole[2:], late, strict=True):
        assert all(same(a, b) for a, b in zip(one, other, strict=True))


def test_two_ranks_see_what_one_sees(dataset: CocoDataset, cfg: CfgNode) -> None:
    whole = list(build_detection_train_loader(cfg, dataset))
    parts = [
        list(build_detection_train_loader(cfg, dataset, rank=rank, world_size=2))
        for rank in range(2)
    ]
    for batch, left, right in zip(whole, *parts, strict=True):
        assert all(same(a, b) for a, b in zip(batch, left + right, strict=True))


def test_grouping_and_empty_images(dataset: CocoDataset, cfg: CfgNode) -> None:
    batches = list(build_detection_train_loader(cfg, dataset))
    assert {sample.image_id for batch in batches for sample in batch} == {2, 5}
    assert all(len({s.width > s.height for s in batch}) == 1 for batch in batches)
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    batches = list(build_detection_train_loader(cfg, dataset))
    assert {sample.image_id for batch in batches for sample in batch} == {2, 5, 9}
    assert len(trainable_records(dataset, filter_empty=True)) == 2


def test_finished_run_has_no_batches(dataset: CocoDataset, cfg: CfgNode) -> None:
    assert list(build_detection_train_loader(cfg, dataset, start_iteration=6)) == []
    assert list(build_detection_train_loader(cfg, dataset, start_iteration=9)) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_a_workers_error_is_one_line(
    write_coco: Writer, cfg: CfgNode, workers: int, dataset: CocoDataset
) -> None:
    _, images = write_coco()
    (images / "b.png").unlink()
    cfg.DATALOADER.NUM_WORKERS = workers
    for loader in (
        build_detection_train_loader(cfg, dataset),
        build_detection_test_loader(cfg, dataset),
    ):
        with pytest.raises(UserError) as error:
            list(loader)
        assert str(error.value) == f"{images / 'b.png'}: no such image"


@pytest.mark.parametrize("world", [1, 2])
def test_another_image_takes_the_place_of_a_broken_one(
    many: CocoDataset, cfg: CfgNode, world: int
) -> None:
    """It is the first that can be read in an order drawn for the place, and of the same shape."""
    broken = {f"{number}.png" for number in (1, 2, 5)}
    for name in broken:
        (many.entry.image_root / name).write_bytes(b"broken")
    shapes = [record.width > record.height for record in many.records]
    groups = np.array([0 if is_wide else 1 for is_wide in shapes])
    plan, stand_ins = BatchPlan(len(shapes), 4, 3, groups), StandIns(3, groups)
    aside = SetAsideImages(100)
    shares = [
        list(
            build_detection_train_loader(
                cfg, many, start_iteration=2, rank=rank, world_size=world, set_aside=aside
            )
        )
        for rank in range(world)
    ]
    replaced = 0
    for iteration, parts in zip(range(2, 6), zip(*shares, strict=True), strict=True):
        samples = [sample for part in parts for sample in part]
        for key, sample in zip(plan.batch(iteration), samples, strict=True):
            wanted = key.index
            if wanted in (1, 2, 5):
                replaced += 1
                order = list(stand_ins(key))
                assert sorted([wanted, *order]) == list(range(len(shapes)))
                alike = [index for index in order if shapes[index] == shapes[wanted]]
                assert order[: len(alike)] == alike
                wanted = next(index for index in order if index not in (1, 2, 5))
            assert sample.image_id == wanted
            assert shapes[wanted] == shapes[key.index]
    assert replaced > 2
    names = [Path(image["name"]).name for image in aside.summary()["images"]]
    assert set(names) <= broken
    assert len(names) > 1


def test_broken_images_are_left_out_of_an_evaluation(many: CocoDataset, cfg: CfgNode) -> None:
    broken = many.entry.image_root / "3.png"
    broken.write_bytes(broken.read_bytes()[:200])
    aside = SetAsideImages(100)
    for build in (
        lambda: build_detection_test_loader(cfg, many, set_aside=aside),
        lambda: build_validation_loader(cfg, many, mapper_from_config(cfg, 3), set_aside=aside),
    ):
        ids = [sample.image_id for batch in build() for sample in batch]
        assert ids == [0, 1, 2, 4, 5, 6, 7]
    assert [image["name"] for image in aside.summary()["images"]] == [str(broken)]


def test_more_broken_images_than_the_limit_end_the_run(many: CocoDataset, cfg: CfgNode) -> None:
    for number in (1, 2, 3):
        (many.entry.image_root / f"{number}.png").write_bytes(b"")
    cfg.DATASETS.MAX_BROKEN_IMAGES = 2
    message = r"1\.png: .*, the first of 3 such images; DATASETS\.MAX_BROKEN_IMAGES is 2: mend"
    for build in (build_detection_train_loader, build_detection_test_loader):
        with pytest.raises(UserError, match=message):
            list(build(cfg, many))
    cfg.DATASETS.MAX_BROKEN_IMAGES = 0
    with pytest.raises(UserError, match=r"\.png: .*; DATASETS\.MAX_BROKEN_IMAGES above 0 sets"):
        list(build_detection_train_loader(cfg, many))


def test_a_training_set_of_broken_images_ends_the_run(many: CocoDataset, cfg: CfgNode) -> None:
    for path in many.entry.image_root.iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"\.png: .*; nor can any other of the 8 images to train"):
        list(build_detection_train_loader(cfg, many))


def test_evaluation_visits_every_image_once(dataset: CocoDataset, cfg: CfgNode) -> None:
    ids = [
        [sample.image_id for batch in build_detection_test_loader(
            cfg, dataset, rank=rank, world_size=2) for sample in batch]
        for rank in range(2)
    ]  # fmt: skip
    assert ids == [[2, 5], [9]]
    loader = build_detection_test_loader(cfg, dataset, rank=3, world_size=4)
    assert len(loader) == 0
    assert list(loader) == []


def test_negative_seed_is_refused(dataset: CocoDataset, cfg: CfgNode) -> None:
    cfg.SEED = -1
    with pytest.raises(UserError, match="SEED -1"):
        build_detection_train_loader(cfg, dataset)
    assert len(build_detection_train_loader(cfg, dataset, seed=5)) == 6


def test_packed_list() -> None:
    packed: PackedList[object] = PackedList(["a", 1, (2, 3)])
    assert list(packed) == ["a", 1, (2, 3)]
    assert len(PackedList([])) == 0
    with pytest.raises(IndexError):
        packed[3]


def test_images_with_few_keypoints_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first image has 8 labelled keypoints, the second 2, the others none."""

    def unlabel(content: dict[str, Any]) -> None:
        for number, annotation in enumerate(content["annotations"][2:12], start=2):
            annotation["keypoints"] = ([1, 2, 1] if number < 4 else [0, 0, 0]) + [0] * 12

    entry = write_annotated(tmp_path, unlabel)
    dataset = load_coco(entry, training=True, needs=Needs(keypoints=True))
    with caplog.at_level("INFO"):
        assert [r.image_id for r in trainable_records(dataset, True, 2)] == [0, 1]
    assert "2 of 6 images have at least 2 labelled keypoint(s); the others are" in caplog.text
    assert [r.image_id for r in trainable_records(dataset, True, 3)] == [0]
    assert len(trainable_records(dataset, False)) == 6


def test_a_set_of_which_no_image_is_left_is_refused(tmp_path: Path) -> None:
    cfg = get_cfg()
    cfg.SEED = 1
    cfg.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE = 9
    entry = write_annotated(tmp_path)
    dataset = load_coco(entry, training=True, needs=Needs(keypoints=True))
    with pytest.raises(UserError, match=r"annotated\.json: no image has .*MIN_KEYPOINTS_PER_IMAGE"):
        build_detection_train_loader(cfg, dataset)


def test_labels_are_trained_on_without_objects(tmp_path: Path) -> None:
    def strip(content: dict[str, Any]) -> None:
        content["annotations"] = content["annotations"][:1]

    cfg = get_cfg()
    cfg.SEED, cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_WORKERS = 1, 1, 0
    dataset = load_coco(write_annotated(tmp_path, strip), training=True)
    images = {"GeneralizedRCNN": 1, "PanopticFPN": 1, "SemanticSegmentor": 6}
    for architecture, count in images.items():
        cfg.MODEL.META_ARCHITECTURE = architecture
        assert len(trainable_records(dataset, filters_empty(cfg))) == count
        assert num_trainable(cfg, dataset) == count
