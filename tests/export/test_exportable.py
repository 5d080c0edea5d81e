"""The module that is exported finds what the detector finds, before any exporter has seen it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from resnext_det.config import with_values
from resnext_det.engines.portable.engine import PortableEngine
from resnext_det.export.comparison import compare
from resnext_det.export.formats import FixedShape
from resnext_det.export.source import ExportSource, read_source
from resnext_det.export.suppression import grouped_nms
from resnext_det.export.writing import exportable
from resnext_det.inference.detector import Detector
from resnext_det.inference.images import read_pixels
from resnext_det.structures import Detections
from tests.export.conftest import Trained


@pytest.fixture(scope="module")
def source(portable: Trained) -> ExportSource:
    return read_source(portable.checkpoint)


def pixels(trained: Trained) -> np.ndarray:
    return np.stack([read_pixels(str(path)) for path in trained.images])


def found_by(source: ExportSource, batch: np.ndarray, fixed: FixedShape | None = None) -> list:
    with torch.no_grad():
        boxes, scores, classes, places = exportable(source, fixed)(torch.from_numpy(batch))
    assert boxes.dtype == scores.dtype == torch.float32
    assert classes.dtype == places.dtype == torch.int64
    return [
        Detections(boxes[places == k], scores[places == k], classes[places == k])
        for k in range(len(batch))
    ]


def assert_same(found: list[Detections], expected: list[Detections]) -> None:
    apart = compare(expected, found, score_thresh=0.05, most=100, margin=1e-4)
    assert apart.matched > 0
    assert apart.unmatched == 0
    # Their batches are of other sizes, and convolutions round otherwise.
    assert apart.box < 1e-2
    assert apart.score < 1e-4
    for one, other in zip(found, expected, strict=True):
        assert len(one) == len(other)
        assert torch.equal(one.scores, one.scores.sort(descending=True)[0])


def test_finds_what_the_detector_finds(portable: Trained, source: ExportSource) -> None:
    batch = pixels(portable)
    found = found_by(source, batch)
    assert sum(map(len, found)) > 10
    assert_same(found, source.detector.detect(list(batch)))


def test_finds_what_the_engine_that_trained_it_finds(trained: Trained) -> None:
    """Of Detectron2's, too: the portable engine builds it from the same file."""
    batch = pixels(trained)
    detector = Detector.from_checkpoint(
        trained.checkpoint, device="cpu", engine=trained.engine, acceleration="exact"
    )
    found = found_by(read_source(trained.checkpoint), batch)
    assert_same(found, detector.detect(list(batch)))


def test_of_one_shape_finds_the_same(portable: Trained, source: ExportSource) -> None:
    batch = pixels(portable)[:2]
    fixed = FixedShape(*batch.shape[1:3], number=2)
    assert_same(found_by(source, batch, fixed), source.detector.detect(list(batch)))


@pytest.mark.parametrize("size", [(40, 200), (7, 9), (110, 64)], ids=str)
def test_of_any_size(source: ExportSource, size: tuple[int, int]) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    assert_same(found_by(source, batch), source.detector.detect(list(batch)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("INPUT.FORMAT", "BGR"),
        ("INPUT.MIN_SIZE_TEST", 0),
        ("TEST.DETECTIONS_PER_IMAGE", 3),
        ("MODEL.RPN.POST_NMS_TOPK_TEST", 5),
        ("MODEL.RPN.PRE_NMS_TOPK_TEST", 3),
        ("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 12),
        ("MODEL.ANCHOR_GENERATOR.OFFSET", 0.5),
        ("MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", 2),
        ("MODEL.ROI_HEADS.IN_FEATURES", ["p3"]),
    ],
    ids=str,
)
def test_heeds_the_config(portable: Trained, tmp_path: Path, key: str, value: object) -> None:
    other = portable.with_config(tmp_path / "other.pth", key, value)
    source = read_source(other.checkpoint)
    batch = pixels(portable)[:2]
    assert_same(found_by(source, batch), source.detector.detect(list(batch)))


def test_one_box_for_all_classes(source: ExportSource, portable: Trained) -> None:
    cfg = with_values(source.cfg, {"MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True})
    engine = PortableEngine()
    torch.manual_seed(0)
    model = engine.build_model(cfg).eval()
    detector = Detector(engine.build_predictor(model, cfg), source.class_names)
    agnostic = replace(source, model=model, cfg=cfg, detector=detector)
    batch = pixels(portable)[:1]
    found = found_by(agnostic, batch)
    assert len(found[0]) > 0
    assert_same(found, detector.detect(list(batch)))


def test_nothing_found(portable: Trained) -> None:
    source = read_source(portable.checkpoint, score_thresh=1.0)
    assert [len(one) for one in found_by(source, pixels(portable)[:2])] == [0, 0]


def test_groups_are_suppressed_apart() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]]]).repeat(2, 1, 1)
    scores = torch.tensor([[0.5, 0.9, 0.3], [0.8, 0.1, 0.0]])
    kept = grouped_nms(boxes, scores, 0.5, 0.05)
    # Of the first two one is left in each group, the better one; and 0.0 is not above 0.05.
    assert sorted(map(tuple, kept.tolist())) == [(0, 1), (0, 2), (1, 0)]


def test_no_box_to_suppress() -> None:
    assert grouped_nms(torch.zeros(2, 3, 4), torch.zeros(2, 3), 0.5, 0.5).shape == (0, 2)
