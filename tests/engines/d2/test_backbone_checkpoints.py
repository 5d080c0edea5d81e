"""Detectors on Detectron2's ResNet and on ours read each other's checkpoints. Detectron2."""

from pathlib import Path

import pytest
import torch
from torch import nn

pytestmark = pytest.mark.d2

RES = ["res2", "res3", "res4", "res5"]
PYRAMID = ["p2", "p3", "p4", "p5", "p6"]
# Detector -> the builders' names, Detectron2's and ours, and its keys of MODEL.
DETECTORS = {
    "FPN": (
        ("build_resnet_fpn_backbone", "build_resnext_fpn_backbone"),
        {
            "RESNETS.OUT_FEATURES": RES,
            "FPN.IN_FEATURES": RES,
            "RPN.IN_FEATURES": PYRAMID,
            "ANCHOR_GENERATOR.SIZES": [[8], [16], [32], [64], [128]],
            "ROI_HEADS.NAME": "StandardROIHeads",
            "ROI_HEADS.IN_FEATURES": PYRAMID[:4],
        },
    ),
    "RetinaNet": (
        ("build_retinanet_resnet_fpn_backbone", "build_retinanet_resnext_fpn_backbone"),
        {
            "META_ARCHITECTURE": "RetinaNet",
            "RESNETS.OUT_FEATURES": RES[1:],
            "FPN.IN_FEATURES": RES[1:],
            "ANCHOR_GENERATOR.SIZES": [[16], [32], [64], [128], [256]],
        },
    ),
    "C4": (
        ("build_resnet_backbone", "build_resnext_backbone"),
        {"ANCHOR_GENERATOR.SIZES": [[16, 32]]},
    ),
    "DC5": (
        ("build_resnet_backbone", "build_resnext_backbone"),
        {
            "RESNETS.OUT_FEATURES": ["res5"],
            "RESNETS.RES5_DILATION": 2,
            "RPN.IN_FEATURES": ["res5"],
            "ANCHOR_GENERATOR.SIZES": [[16, 32]],
            "ROI_HEADS.NAME": "StandardROIHeads",
            "ROI_HEADS.IN_FEATURES": ["res5"],
        },
    ),
}
TINY = {
    "DEVICE": "cpu",
    "BACKBONE.FREEZE_AT": 1,
    "RESNETS.NUM_GROUPS": 4,
    "RESNETS.WIDTH_PER_GROUP": 4,
    "RESNETS.STEM_OUT_CHANNELS": 8,
    "RESNETS.RES2_OUT_CHANNELS": 16,
    "RESNETS.NORM": "BN",
    "FPN.OUT_CHANNELS": 8,
    "ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "ROI_BOX_HEAD.NUM_FC": 1,
    "ROI_BOX_HEAD.FC_DIM": 16,
    "ROI_HEADS.NUM_CLASSES": 3,
    "ROI_HEADS.SCORE_THRESH_TEST": 0.0,
    "RETINANET.NUM_CLASSES": 3,
    "RETINANET.SCORE_THRESH_TEST": 0.0,
    "RPN.POST_NMS_TOPK_TEST": 50,
}


def build(detector: str, builder: str, seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The tiny detector with Detectron2's own optimizer."""
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model
    from detectron2.solver import build_optimizer

    from resnext_det.engines.d2 import add_config

    cfg = get_cfg()
    add_config(cfg)
    for key, value in {**TINY, **DETECTORS[detector][1], "BACKBONE.NAME": builder}.items():
        cfg.merge_from_list([f"MODEL.{key}", value])
    cfg.SOLVER.BASE_LR = 0.01
    torch.manual_seed(seed)
    model = build_model(cfg).train()
    return model, build_optimizer(cfg, model)


def samples() -> list[dict]:
    from detectron2.structures import Boxes, Instances

    generator = torch.Generator().manual_seed(0)
    found = []
    for i in range(2):
        image = torch.randint(0, 256, (3, 64, 96), generator=generator, dtype=torch.uint8)
        truth = Instances((64, 96), gt_boxes=Boxes(torch.tensor([[8.0, 4.0, 40.0 + i, 52.0]])))
        truth.gt_classes = torch.tensor([i])
        found.append({"image": image, "instances": truth, "height": 64, "width": 96})
    return found


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> dict[str, float]:
    """One update; anchors and regions are drawn from the seed."""
    from detectron2.utils.events import EventStorage

    torch.manual_seed(seed)
    with EventStorage():
        losses = model.train()(samples())
    optimizer.zero_grad()
    sum(losses.values()).backward()
    optimizer.step()
    return {name: value.item() for name, value in losses.items()}


@pytest.mark.parametrize("direction", ["Detectron2's loads in ours", "ours loads in Detectron2's"])
@pytest.mark.parametrize("detector", DETECTORS)
def test_checkpoints_cross_key_for_key(detector: str, direction: str, tmp_path: Path) -> None:
    from detectron2.checkpoint import DetectionCheckpointer

    builders = DETECTORS[detector][0]
    if direction.startswith("ours"):
        builders = builders[::-1]
    writer, optimizer = build(detector, builders[0], seed=0)
    for seed in (1, 2):
        step(writer, optimizer, seed)
    DetectionCheckpointer(writer, str(tmp_path), optimizer=optimizer).save("model_final")

    reader, continued = build(detector, builders[1], seed=9)
    path = tmp_path / "model_final.pth"
    DetectionCheckpointer(reader, optimizer=continued).load(str(path))
    assert_equal_states(reader, writer)
    reader.load_state_dict(torch.load(path, weights_only=True)["model"], strict=True)
    assert_equal_detections(reader, writer)

    if detector == "RetinaNet":  # a running mean, which Detectron2 keeps in no checkpoint
        reader.loss_normalizer = writer.loss_normalizer
    assert step(reader, continued, 3) == step(writer, optimizer, 3)
    assert_equal_states(reader, writer)


def assert_equal_states(reader: nn.Module, writer: nn.Module) -> None:
    ours, theirs = reader.state_dict(), writer.state_dict()
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        assert torch.equal(ours[key], value), key


def assert_equal_detections(reader: nn.Module, writer: nn.Module) -> None:
    with torch.no_grad():
        results = [model.eval()(samples()) for model in (reader, writer)]
    for mine, other in zip(*results, strict=True):
        found, expected = mine["instances"], other["instances"]
        assert len(expected) > 0
        assert torch.equal(found.pred_boxes.tensor, expected.pred_boxes.tensor)
        assert torch.equal(found.scores, expected.scores)
        assert torch.equal(found.pred_classes, expected.pred_classes)
