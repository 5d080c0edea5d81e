"""torchvision's and timm's networks in ours: every tensor placed, equal logits. Engine-neutral."""

import pytest
import timm
import torch
import torchvision

from resnext_det.modeling import build_classifier
from resnext_det.weights.load import load_weights, require_head
from resnext_det.weights.naming.detectron2 import is_backbone_key
from resnext_det.weights.naming.torchvision import rename_key
from resnext_det.weights.sources import weights_from_state

LIGHT = ("resnet18", "resnet34", "resnet50", "resnext50_32x4d")
HEAVY = ("resnet101", "resnet152", "resnext101_32x8d", "resnext101_64x4d")
CASES = [
    *(pytest.param(torchvision.models.get_model, name, id=f"torchvision-{name}") for name in LIGHT),
    *(
        pytest.param(torchvision.models.get_model, name, id=f"torchvision-{name}",
                     marks=pytest.mark.slow)
        for name in HEAVY
    ),
    pytest.param(timm.create_model, "resnet50", id="timm-resnet50"),
    pytest.param(timm.create_model, "resnext50_32x4d", id="timm-resnext50_32x4d"),
    pytest.param(timm.create_model, "resnext101_32x4d", id="timm-resnext101_32x4d",
                 marks=pytest.mark.slow),
]  # fmt: skip


@pytest.mark.parametrize(("create", "name"), CASES)
def test_logits_are_equal(create, name, randomise):
    torch.manual_seed(0)
    theirs = randomise(create(name))
    ours = build_classifier(name).eval()
    report = load_weights(ours, weights_from_state(theirs.state_dict(), name), min_share=1.0)
    require_head(report)
    assert report.share_tensors == report.share_params == report.backbone_share == 1.0
    assert not report.unexpected
    with torch.no_grad():
        image = torch.rand(1, 3, 64, 64)
        expected, found = theirs(image), ours(image)
    assert (expected - found).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("name", HEAVY)
def test_every_tensor_of_the_big_ones_has_its_place(name):
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name).state_dict()
        ours = build_classifier(name).state_dict()
    renamed = {rename_key(name): value for name, value in theirs.items()}
    assert {k: v.shape for k, v in renamed.items()} == {k: v.shape for k, v in ours.items()}


def test_names_by_hand():
    assert rename_key("bn1.running_var") == "stem.conv1.norm.running_var"
    assert rename_key("layer3.22.bn2.bias") == "res4.22.conv2.norm.bias"
    assert rename_key("layer4.0.downsample.1.weight") == "res5.0.shortcut.norm.weight"
    assert rename_key("layer4.0.downsample.0.weight") == "res5.0.shortcut.weight"
    assert rename_key("fc.bias") == "linear.bias"
    assert rename_key("head.fc.bias") is None


def test_backbone_keys():
    assert is_backbone_key("stem.conv1.weight")
    assert is_backbone_key("roi_heads.res5.0.conv1.weight")
    assert not is_backbone_key("backbone.fpn_lateral2.weight")
    assert not is_backbone_key("linear.weight")
