"""Images that Detectron2 has not the memory for. Detectron2."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resnext_det.config import get_cfg
from resnext_det.data.coco import load_coco
from resnext_det.errors import UserError
from tests.data.annotated import write_annotated

pytestmark = pytest.mark.d2


def config():
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RPN.IN_FEATURES = ["p2", "p3"]
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[32], [64]]
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN = [128], 1000
    return cfg


def test_more_objects_than_the_memory_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resnext_det.engines.d2 import crowding

    dataset = load_coco(write_annotated(tmp_path), training=True)
    first = dataset.records[0]
    full = replace(first, boxes=np.zeros((100_000, 4), np.float32))
    crowded = replace(dataset, records=(*dataset.records[1:], full))
    monkeypatch.setattr(crowding, "available_memory", lambda: 16 * 10**9)
    crowding.check_crowding(config(), dataset)
    crowding.check_crowding(config(), replace(dataset, records=()))
    with pytest.raises(UserError) as error:
        crowding.check_crowding(config(), crowded)
    assert str(error.value) == (
        f"{first.file_name}: has 100,000 objects; Detectron2 matches all of them at once, which "
        "takes 240 GB, and 16 GB are available: tile the image, or take --engine portable"
    )
    monkeypatch.setattr(crowding, "available_memory", lambda: None)
    crowding.check_crowding(config(), crowded)


def test_pairs_are_counted_at_the_largest_size(tmp_path: Path) -> None:
    """96x64 becomes 192x128: 3 anchors at each of 48x32 and of 24x16 places."""
    from resnext_det.engines.d2.crowding import num_pairs

    record = load_coco(write_annotated(tmp_path), training=True).records[1]
    anchors = 3 * (48 * 32 + 24 * 16)
    assert num_pairs(config(), record) == 2 * anchors
    cfg = config()
    cfg.INPUT.MIN_SIZE_TRAIN = [0]  # as it is
    assert num_pairs(cfg, record) == 2 * anchors // 4
    cfg.MODEL.RPN.IN_FEATURES = ["own"]
    assert num_pairs(cfg, record) == 4
