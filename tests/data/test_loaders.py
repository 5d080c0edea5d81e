"""Loaders with and without workers: order, resume, ranks, errors. Engine-neutral."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fvcore.common.config import CfgNode

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import CocoDataset, load_coco
from resnext_det.data.loaders import (
    build_detection_test_loader,
    build_detection_train_loader,
    trainable_records,
)
from resnext_det.data.packed import PackedList
from resnext_det.errors import UserError
from resnext_det.structures import DetectionSample

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
