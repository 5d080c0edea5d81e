"""From record to sample, alone and beside Detectron2's own mapper. Engine-neutral."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import CocoRecord, load_coco
from resnext_det.data.mapper import mapper_from_config
from resnext_det.data.samplers import SampleKey
from resnext_det.errors import UserError
from resnext_det.seeding import image_seed

Writer = Callable[..., tuple[Path, Path]]
KEY = SampleKey(4, 1, 0)


def records(write_coco: Writer) -> tuple[CocoRecord, ...]:
    return load_coco(DatasetEntry("t", *write_coco()), training=True).records


def test_training_sample_by_hand(write_coco: Writer, cfg: CfgNode) -> None:
    cfg.INPUT.MIN_SIZE_TRAIN = [80]
    cfg.INPUT.MAX_SIZE_TRAIN = 500
    record = records(write_coco)[0]  # 60x40 with a box and a crowd
    seen = set()
    for position in range(12):
        sample = mapper_from_config(cfg, 0)(record, SampleKey(0, position, 0))
        assert sample.image.shape == (3, 80, 120)
        assert sample.image.dtype == torch.uint8
        assert (sample.height, sample.width, sample.image_id) == (40, 60, 2)
        assert sample.gt_classes is not None
        assert sample.gt_classes.tolist() == [1]
        assert sample.gt_boxes is not None
        assert sample.gt_boxes.dtype == torch.float32
        seen.add(tuple(sample.gt_boxes[0].tolist()))
    assert seen == {(21.0, 10.5, 61.0, 71.5), (59.0, 10.5, 99.0, 71.5)}


def test_same_key_same_sample(write_coco: Writer, cfg: CfgNode) -> None:
    record = records(write_coco)[0]
    mapper = mapper_from_config(cfg, 7)
    first = mapper(record, KEY)
    np.random.seed(0)  # the mapper does not care for global state, nor touches it
    before = np.random.get_state()[2]
    again = mapper_from_config(cfg, 7)(record, KEY)
    assert np.random.get_state()[2] == before
    assert torch.equal(first.image, again.image)
    assert first.gt_boxes is not None
    assert again.gt_boxes is not None
    assert torch.equal(first.gt_boxes, again.gt_boxes)
    shapes = {tuple(mapper(record, SampleKey(i, 0, 0)).image.shape) for i in range(20)}
    assert shapes == {(3, 48, 72), (3, 64, 96)}


def test_test_sample_has_no_ground_truth(write_coco: Writer, cfg: CfgNode) -> None:
    sample = mapper_from_config(cfg, 0)(records(write_coco)[1], None)
    assert sample.image.shape == (3, 96, 64)
    assert sample.gt_boxes is None
    assert sample.gt_classes is None
    assert sample.sampling_seed is None


def test_sampling_seed_is_of_the_place_in_the_run(write_coco: Writer, cfg: CfgNode) -> None:
    sample = mapper_from_config(cfg, 7)(records(write_coco)[0], KEY)
    assert sample.sampling_seed == image_seed(7, KEY.iteration, KEY.position)


def test_image_without_boxes(write_coco: Writer, cfg: CfgNode) -> None:
    sample = mapper_from_config(cfg, 0)(records(write_coco)[2], KEY)
    assert sample.gt_boxes is not None
    assert sample.gt_boxes.shape == (0, 4)
    assert sample.gt_classes is not None
    assert sample.gt_classes.shape == (0,)


def test_size_mismatch_is_named(write_coco: Writer, cfg: CfgNode) -> None:
    record = dataclasses.replace(records(write_coco)[0], width=61)
    with pytest.raises(UserError, match=r"a\.png: the image is 60x40, .* says 61x40"):
        mapper_from_config(cfg, 0)(record, KEY)
