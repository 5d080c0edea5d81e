"""A tiny detector with random weights, images for it, and what is near enough."""

import torch
from torch import nn

from resnext_det.config import load_config, with_values
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.from_config import detector_from_config
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
