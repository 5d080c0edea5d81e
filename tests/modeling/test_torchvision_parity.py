"""Our networks against torchvision's, with the same random weights."""

import gc

import pytest
import torch
import torchvision
from torch import Tensor, nn

from resnext_det import build_backbone, build_classifier
from resnext_det.modeling import ResNet

# Ours -> torchvision's; issue: equal to 1e-5 of the largest magnitude.
NETWORKS = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnet152": "resnet152",
    "resnext50_32x4d": "resnext50_32x4d",
    "resnext101_32x8d": "resnext101_32x8d",
    "resnext101_64x4d": "resnext101_64x4d",
}


@pytest.fixture(autouse=True)
def _release_memory():
    yield
    gc.collect()


def reference_features(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What torchvision's layer1 … layer4 and fc give."""
    features = {}
    x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
    for i in range(1, 5):
        x = getattr(network, f"layer{i}")(x)
        features[f"res{i + 1}"] = x
    features["linear"] = network.fc(network.avgpool(x).flatten(1))
    return features


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize("name", NETWORKS)
def test_equal_features_logits_and_gradients(name, randomise, to_our_names):
    theirs = randomise(getattr(torchvision.models, NETWORKS[name])(weights=None))
    state = to_our_names(theirs.state_dict())
    features = ("res2", "res3", "res4", "res5", "linear")
    kwargs = {"num_classes": 1000, "out_features": features, "norm": "BN"}
    ours = build_backbone(name, **kwargs).eval()
    ours.load_state_dict(state)

    images = torch.randn(2, 3, 64, 96)
    expected = reference_features(theirs, images)
    assert 0.05 < expected["res5"].abs().max() < 100  # near 1: the comparison means something
    got = ours(images)
    for feature in features:
        assert_close(got[feature], expected[feature], 1e-5)

    directions = {feature: torch.randn_like(expected[feature]) for feature in features}
    for outputs in (got, expected):
        sum((outputs[f] * directions[f]).sum() for f in features).backward()
    renamed = to_our_names({k: p.grad for k, p in theirs.named_parameters()})
    for key, parameter in ours.named_parameters():
        assert_close(parameter.grad, renamed[key], 1e-4)


@pytest.mark.parametrize("name", ["resnet50", "resnext50_32x4d"])
def test_equal_training_step(name, randomise, to_our_names):
    """In training mode batch statistics enter, and the running averages move."""
    theirs = randomise(getattr(torchvision.models, name)(weights=None, num_classes=7)).train()
    ours = build_classifier(name, 7).train()
    ours.load_state_dict(to_our_names(theirs.state_dict()))
    images, labels = torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 2, 6])
    for network in (ours, theirs):
        nn.functional.cross_entropy(network(images), labels).backward()
    gradients = to_our_names({k: p.grad for k, p in theirs.named_parameters()})
    for key, parameter in ours.named_parameters():
        assert_close(parameter.grad, gradients[key], 1e-4)
    averages = to_our_names(dict(theirs.named_buffers()))
    for key, value in ours.named_buffers():
        torch.testing.assert_close(value, averages[key])


@pytest.mark.parametrize("name", ["resnet50", "resnext50_32x4d"])
def test_frozen_batch_norm_is_batch_norm_in_eval_mode(name, randomise, to_our_names):
    """Features and gradients of the frozen network, which stays frozen in training mode.

    While gradients are needed, the frozen norm multiplies and adds instead of calling the fused
    layer: other roundings, which 50 layers carry to about 1e-5. So that part is compared in
    float64, where rounding cannot hide an error.
    """
    theirs = randomise(getattr(torchvision.models, name)(weights=None))
    state = to_our_names(theirs.state_dict())
    ours = build_backbone(name, norm="FrozenBN").train()
    ours.load_state_dict({k: v for k, v in state.items() if not k.startswith("linear")})
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected, got = reference_features(theirs, images), ours(images)
    for feature, value in got.items():
        assert_close(value, expected[feature], 1e-5)

    ours, theirs, images = ours.double(), theirs.double(), images.double()
    expected, got = reference_features(theirs, images), ours(images)
    for feature, value in got.items():
        assert_close(value, expected[feature], 1e-10)
    got["res5"].square().sum().backward()
    expected["res5"].square().sum().backward()
    gradients = to_our_names({k: p.grad for k, p in theirs.named_parameters()})
    for key, parameter in ours.named_parameters():
        assert_close(parameter.grad, gradients[key], 1e-9)


def test_dilated_res5(randomise, to_our_names):
    """torchvision dilates from the second block on; ours, as Detectron2, all of res5."""
    replace = [False, False, True]
    theirs = torchvision.models.resnet50(weights=None, replace_stride_with_dilation=replace)
    first = theirs.layer4[0].conv2
    first.dilation, first.padding = (2, 2), (2, 2)
    randomise(theirs)
    state = to_our_names(theirs.state_dict())
    ours = ResNet(depth=50, norm="BN", res5_dilation=2).eval()
    ours.load_state_dict({k: v for k, v in state.items() if not k.startswith("linear")})
    images = torch.randn(1, 3, 64, 64)
    assert_close(ours(images)["res5"], reference_features(theirs, images)["res5"], 1e-5)
    assert ours.output_shape()["res5"].stride == 16
