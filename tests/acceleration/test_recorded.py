"""The detector in fixed shapes against the model it is made of; on a GPU, recorded, too."""

from dataclasses import replace

import pytest
import torch

from resnext_det.acceleration import recorded
from resnext_det.acceleration.fixed_shapes import Regions, pool
from resnext_det.acceleration.recorded import RecordedDetector
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.pooling import RoIPooler
from tests.acceleration.tiny import assert_near, samples, tiny


@pytest.mark.parametrize(
    "of",
    [[(64, 96)], [(64, 96), (50, 70)], [(33, 47), (64, 40), (64, 96)]],
    ids=["one", "two sizes", "three sizes"],
)
@torch.no_grad()
def test_finds_what_the_model_finds(of: list[tuple[int, int]]):
    model, images = tiny(), samples(*of)
    expected = model(images)
    assert sum(map(len, expected)) > 10
    assert_near(RecordedDetector(model)(images), expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True},
        {"MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": 2},
        {"TEST.DETECTIONS_PER_IMAGE": 3},
        {"MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.99},
        {"MODEL.RPN.NMS_THRESH": 0.2},
    ],
    ids=["one box for all classes", "sampling ratio", "three at most", "none", "strict"],
)
@torch.no_grad()
def test_settings_are_honoured(settings: dict[str, object]):
    model, images = tiny(1, **settings), samples((64, 96), (40, 96))
    assert_near(RecordedDetector(model)(images), model(images))


@torch.no_grad()
def test_it_is_what_the_engine_evaluates():
    model, images = tiny(), samples((64, 96))
    detector = RecordedDetector(model)
    assert isinstance(detector, FasterRCNN)
    assert_near(detector.detect(images), model.detect(images))


@torch.no_grad()
def test_too_few_rounds_are_noticed(monkeypatch: pytest.MonkeyPatch):
    model, images = tiny(), samples((64, 96))
    monkeypatch.setattr(recorded, "ROUNDS", 1)
    assert_near(RecordedDetector(model)(images), model(images))


@torch.no_grad()
def test_values_that_are_not_finite_are_left_out():
    model, images = tiny(), samples((64, 96))
    model.proposal_generator.rpn_head.anchor_deltas.bias[0] = torch.nan
    expected = model(images)
    assert sum(map(len, expected)) > 10
    assert_near(RecordedDetector(model)(images), expected)


def test_a_region_that_is_not_usable_pools_nothing():
    regions = Regions(
        boxes=torch.tensor([[[0.0, 0, 32, 32], [0, 0, 32, 32]]]),
        logits=torch.tensor([[0.0, -torch.inf]]),
        usable=torch.tensor([[True, False]]),
        finite=torch.tensor(True),
        settled=torch.tensor(True),
    )
    pooler = RoIPooler(3, (4, 8), sampling_ratio=2)
    pooled = pool(pooler, [torch.ones(1, 2, 16, 16), torch.ones(1, 2, 8, 8)], regions)
    assert torch.equal(pooled[0], torch.ones(2, 3, 3))
    assert not pooled[1].any()


@pytest.mark.gpu
@torch.no_grad()
def test_recordings_on_a_gpu_find_the_same():
    model = tiny().cuda()
    detector = RecordedDetector(model)
    for of in ([(64, 96)], [(64, 96)], [(50, 90)], [(64, 96), (64, 64)], [(64, 96), (60, 96)]) * 2:
        images = [
            replace(s, image=(s.image + 7 * turn) % 251) for turn, s in enumerate(samples(*of))
        ]
        # With the 10 bits of TF32 other kernels for another layout would find others.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            assert_near(detector(images), model(images))
