"""Loaders with and without workers: order, resume, ranks, errors. Engine-neutral."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode

from resnext_det.config import get_cfg
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import CocoDataset, load_coco
from resnext_det.data.loaders import (
    build_detection_test_loader,
    build_detection_train_loader,
    filters_empty,
    num_trainable,
    trainable_records,
)
from resnext_det.data.needs import Needs
from resnext_det.data.packed import PackedList
from resnext_det.errors import UserError
from resnext_det.structures import DetectionSample
from tests.data.annotated import write_annotated

Writer = Callable[..., tuple[Path, Path]]


@pytest.fixture
def dataset(write_coco: Writer) -> CocoDataset:
    return load_coco(DatasetEntry("t", *write_coco()), training=True)


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
    (images / "b.png").write_bytes(b"broken")
    cfg.DATALOADER.NUM_WORKERS = workers
    for loader in (
        build_detection_train_loader(cfg, dataset),
        build_detection_test_loader(cfg, dataset),
    ):
        with pytest.raises(UserError) as error:
            list(loader)
        assert str(error.value).startswith(f"{images / 'b.png'}: cannot be read as an image")
        assert "\n" not in str(error.value)


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
