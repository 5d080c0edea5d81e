"""The detector in fixed shapes against the model it is made of; on a GPU, recorded, too."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from resnext_det.acceleration import recorded
from resnext_det.acceleration.fixed_shapes import Regions, pool
from resnext_det.acceleration.recorded import RecordedDetector
from resnext_det.config import load_config, with_values
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.from_config import detector_from_config
from resnext_det.engines.portable.pooling import RoIPooler
from resnext_det.structures import Detections, DetectionSample

TINY = {
    "MODEL.RESNETS.DEPTH": 26,
    "MODEL.RESNETS.NUM_GROUPS": 4,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 4,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 16,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 32,
    "MODEL.FPN.OUT_CHANNELS": 16,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 32,
    "MODEL.ROI_HEADS.NUM_CLASSES": 5,
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.1,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 150,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 120,
    "MODEL.WEIGHTS": "",
}


def tiny(seed: int = 0, **more: object) -> FasterRCNN:
    torch.manual_seed(seed)
    cfg = with_values(load_config("resnext_det://Base-RCNN-FPN.yaml").cfg, TINY | more)
    model = detector_from_config(cfg).eval()
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and "backbone" not in name:
            nn.init.normal_(module.weight, std=0.05)  # boxes that differ, and classes
    return model


def samples(*sizes: tuple[int, int]) -> list[DetectionSample]:
    draw = torch.Generator().manual_seed(3)
    return [
        DetectionSample(
            torch.randint(256, (3, h, w), dtype=torch.uint8, generator=draw), h * 2, w * 2, i, ""
        )
        for i, (h, w) in enumerate(sizes)
    ]


def assert_near(found: list[Detections], expected: list[Detections]) -> None:
    assert [len(f) for f in found] == [len(e) for e in expected]
    for some, others in zip(found, expected, strict=True):
        assert torch.equal(some.classes.cpu(), others.classes.cpu())
        torch.testing.assert_close(some.scores.cpu(), others.scores.cpu(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(some.boxes.cpu(), others.boxes.cpu(), rtol=1e-4, atol=2e-3)


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
        torch.tensor([[[0.0, 0, 32, 32], [0, 0, 32, 32]]]),
        torch.tensor([[True, False]]),
        torch.tensor(True),
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
        assert_near(detector(images), model(images))
