"""The factory inside torchvision's own detectors, and against torchvision's own factory."""

import logging
import math

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d as TorchvisionFrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from resnext_det import build_classifier, resnext_fpn_backbone
from resnext_det.errors import UserError
from resnext_det.modeling.norms import FrozenBatchNorm2d
from resnext_det.weights.cache import CachedFile
from resnext_det.weights.naming.torchvision import rename_key

NORM_LAYERS = {"FrozenBN": TorchvisionFrozenBatchNorm2d, "BN": nn.BatchNorm2d}
CONFIG = """
INPUT: {{FORMAT: {format}}}
MODEL:
  PIXEL_MEAN: [{mean}, 2.0, 3.0]
  PIXEL_STD: [51.0, 51.0, 51.0]
  RESNETS: {{STRIDE_IN_1X1: {stride}}}
"""


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def calibrate(network: nn.Module) -> nn.Module:
    """Gives BatchNorm the statistics of noise, so that activations stay near 1."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 0.5, 1.0)
        nn.init.normal_(norm.bias, std=0.1)
    with torch.no_grad():
        network.train()(torch.randn(2, 3, 96, 96))
    return network.eval()


@pytest.fixture(scope="module")
def resnet50_file(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "resnet50.pth"
    torch.save(calibrate(torchvision.models.resnet50(num_classes=2)).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def pair(resnet50_file):
    """Both factories with one file's weights and one FPN, and torchvision's extra levels."""

    def build(norm="FrozenBN", **kwargs):
        kwargs = {"backbone_name": "resnet50", **kwargs}
        ours = resnext_fpn_backbone(weights=resnet50_file, norm=norm, **kwargs)
        theirs = resnet_fpn_backbone(weights=None, norm_layer=NORM_LAYERS[norm], **kwargs)
        body = torch.load(resnet50_file, weights_only=True)
        theirs.body.load_state_dict({k: v for k, v in body.items() if k[:2] != "fc"}, strict=False)
        theirs.fpn.load_state_dict(ours.fpn.state_dict())
        return ours, theirs

    return build


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


def p6p7(in_channels: int, out_channels: int = 256) -> dict:
    return {
        "returned_layers": [2, 3, 4],
        "extra_blocks": LastLevelP6P7(in_channels, out_channels),
    }


CHOICES = [
    ({}, ["0", "1", "2", "3", "pool"]),
    (p6p7(2048), ["0", "1", "2", "p6", "p7"]),
    ({"returned_layers": [1, 3], "trainable_layers": 5}, ["0", "1", "pool"]),
]


@pytest.mark.parametrize(("kwargs", "names"), CHOICES)
def test_equal_to_torchvisions_factory(pair, kwargs, names):
    ours, theirs = (backbone.eval() for backbone in pair(norm="BN", **kwargs))
    images = torch.randn(2, 3, 64, 96)
    got, expected = ours(images), theirs(images)
    assert list(got) == list(expected) == names
    assert ours.out_channels == theirs.out_channels
    for name in names:
        assert 0.01 < expected[name].abs().max() < 1000
        assert_close(got[name], expected[name], 1e-5)


@pytest.mark.parametrize(("kwargs", "names"), CHOICES)
def test_equal_with_frozen_norms_gradients_too(pair, kwargs, names):
    """In float64: the frozen norm's roundings are others, which 50 layers carry to 1e-5."""
    ours, theirs = (backbone.double().train() for backbone in pair(**kwargs))
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    got, expected = ours(images), theirs(images)
    for name in names:
        assert_close(got[name], expected[name], 1e-10)
    for outputs in (got, expected):
        sum(value.square().mean() for value in outputs.values()).backward()
    gradients = dict(ours.named_parameters())
    for key, parameter in theirs.named_parameters():
        body = key.startswith("body.")
        mine = f"body.{rename_key(key.removeprefix('body.'))}" if body else key
        assert (gradients[mine].grad is None) == (parameter.grad is None)
        if parameter.grad is not None:
            assert_close(gradients[mine].grad, parameter.grad, 1e-9)


def test_equal_losses_and_detections_in_torchvisions_faster_rcnn(pair):
    backbones = pair(norm="BN", trainable_layers=5)
    ours, theirs = (FasterRCNN(b, 3, min_size=64, max_size=96).eval() for b in backbones)
    heads = {k: v for k, v in ours.state_dict().items() if not k.startswith("backbone.body")}
    theirs.load_state_dict(heads, strict=False)
    images = [torch.rand(3, 64, 96)]
    expected, got = theirs(images)[0], ours(images)[0]
    assert len(expected["boxes"]) > 10
    torch.testing.assert_close(got["boxes"], expected["boxes"], rtol=0, atol=1e-3)
    torch.testing.assert_close(got["scores"], expected["scores"], rtol=0, atol=1e-5)
    losses = []
    for model in (ours.train(), theirs.train()):
        torch.manual_seed(3)  # torchvision samples anchors and regions from the global generator
        losses.append(model(images, [target()]))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("trainable_layers", range(6))
def test_the_same_parameters_are_trained(trainable_layers):
    ours, theirs = (
        factory(backbone_name="resnet18", weights=None, trainable_layers=trainable_layers)
        for factory in (resnext_fpn_backbone, resnet_fpn_backbone)
    )
    counts = [
        sum(p.numel() for p in backbone.parameters() if p.requires_grad)
        for backbone in (ours, theirs)
    ]
    assert counts[0] == counts[1]


def target() -> dict[str, Tensor]:
    boxes = torch.tensor([[4.0, 6.0, 40.0, 50.0], [50.0, 8.0, 90.0, 60.0]])
    return {"boxes": boxes, "labels": torch.tensor([1, 2])}


def tiny(**kwargs):
    return resnext_fpn_backbone(
        backbone_name="resnext26_32x4d",
        norm="BN",
        trainable_layers=5,
        stem_out_channels=16,
        res2_out_channels=32,
        out_channels=32,
        **kwargs,
    )


def faster_rcnn():
    return FasterRCNN(tiny(), 3, min_size=64, max_size=96)


def retinanet():
    return RetinaNet(tiny(**p6p7(256, 32)), 3, min_size=64, max_size=96)


def fcos():
    return FCOS(tiny(**p6p7(32, 32)), 3, min_size=64, max_size=96)


@pytest.mark.parametrize("build", [faster_rcnn, retinanet, fcos])
def test_torchvisions_detectors_train_and_detect(build):
    model = build()
    images = [torch.rand(3, 64, 96), torch.rand(3, 60, 70)]
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    losses = model.train()(images, [target(), empty])
    assert all(math.isfinite(loss.detach()) for loss in losses.values())
    sum(losses.values()).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None]
    assert not without
    assert model.backbone.body.stem.conv1.weight.grad.abs().max() > 0
    with torch.no_grad():
        detections = model.eval()(images)
    assert [set(d) for d in detections] == [{"boxes", "scores", "labels"}] * 2


def test_a_detector_trained_elsewhere_gives_its_backbone(tmp_path):
    state = build_classifier("resnet18", 2).state_dict()
    detector = {f"backbone.bottom_up.{k}": v for k, v in state.items() if "linear" not in k}
    for name, content in (("classifier.pth", state), ("detector.pth", {"model": detector})):
        torch.save(content, tmp_path / name)
        backbone = resnext_fpn_backbone(
            backbone_name="resnet18", weights=str(tmp_path / name), norm="BN", trainable_layers=1
        )
        assert isinstance(backbone.body.stem.conv1.norm, FrozenBatchNorm2d)
        assert isinstance(backbone.body.res5[0].conv1.norm, nn.BatchNorm2d)
        for key, value in backbone.body.state_dict().items():
            assert torch.equal(value, state[key])


def test_a_torchvision_enum_is_its_name(monkeypatch, tmp_path):
    theirs = torchvision.models.resnet50().state_dict()
    torch.save(theirs, tmp_path / "resnet50.pth")
    asked = []

    def answer(wanted):
        asked.append(wanted.address)
        return CachedFile(tmp_path / "resnet50.pth", "0" * 64)

    monkeypatch.setattr("resnext_det.weights.remote.obtain", answer)
    backbone = resnext_fpn_backbone(
        backbone_name="resnet50", weights=ResNet50_Weights.IMAGENET1K_V2
    )
    assert asked == [ResNet50_Weights.IMAGENET1K_V2.url]
    assert torch.equal(backbone.body.stem.conv1.weight, theirs["conv1.weight"])


def refused(**kwargs) -> str:
    with pytest.raises(UserError) as error:
        resnext_fpn_backbone(**{"backbone_name": "resnet18", **kwargs})
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"backbone_name": "resnext50_32x4"}, "nearest is 'resnext50_32x4d'"),
        ({"trainable_layers": 6}, "trainable_layers must be 0 … 5"),
        ({"trainable_layers": -1}, "it is -1"),
        (
            {"trainable_layers": 5, "backbone_name": "resnet29_1x64d"},
            "trainable_layers must be 0 … 4",
        ),
        ({"returned_layers": []}, "returned_layers must be rising numbers of 1 … 4"),
        ({"returned_layers": [0, 1]}, "it is [0, 1]"),
        ({"returned_layers": [4, 3]}, "it is [4, 3]"),
        ({"returned_layers": [5]}, "it is [5]"),
        ({"weights": "nowhere.pth"}, "weights nowhere.pth: no such file"),
        ({"weights": "torchvision://resnet1/X"}, "torchvision has no ResNet of that name"),
        ({"norm": "bn"}, "unknown norm 'bn'"),
    ],
)
def test_mistakes_are_one_line(kwargs, words):
    assert words in refused(**kwargs)


def test_weights_of_another_network_are_refused(resnet50_file):
    message = refused(backbone_name="resnext50_32x4d", weights=str(resnet50_file))
    assert "resnet50.pth is 1x64d (depth 50), but resnext50_32x4d is 32x4d (depth 50)" in message


def test_incomplete_weights_are_refused(tmp_path):
    state = build_classifier("resnet18", 2).state_dict()
    del state["res5.1.conv2.norm.bias"]
    torch.save(state, tmp_path / "w.pth")
    message = refused(weights=str(tmp_path / "w.pth"))
    assert "w.pth does not fill resnet18: 1 tensors are not in it" in message
    assert "res5.1.conv2.norm.bias" in message


@pytest.mark.parametrize(
    ("convention", "words"),
    [
        ({"format": "BGR", "stride": "false"}, "trained on BGR pixels"),
        ({"format": "RGB", "stride": "true"}, "give stride_in_1x1=True"),
    ],
)
def test_pixels_and_strides_that_would_be_wrong_are_refused(tmp_path, convention, words):
    state = build_classifier("resnet18", 2).state_dict()
    config = CONFIG.format(mean="102.0", **convention)
    torch.save({"model": state, "config": config}, tmp_path / "w.pth")
    assert words in refused(weights=str(tmp_path / "w.pth"))


def test_a_norm_that_would_be_wrong_is_refused(tmp_path):
    state = build_classifier("resnet18", 2, norm="GN").state_dict()
    torch.save(state, tmp_path / "w.pth")
    assert refused(weights=str(tmp_path / "w.pth"), norm="BN") == (
        f"{tmp_path / 'w.pth'} has norm GN in its backbone, the model has BN and FrozenBN: give "
        "norm GN, or name other weights"
    )


def test_other_means_are_said(tmp_path, caplog):
    state = build_classifier("resnet18", 2).state_dict()
    config = CONFIG.format(mean="102.0", format="RGB", stride="false")
    torch.save({"model": state, "config": config}, tmp_path / "w.pth")
    with caplog.at_level(logging.WARNING):
        resnext_fpn_backbone(backbone_name="resnet18", weights=str(tmp_path / "w.pth"))
    assert "image_mean=[0.4, 0.007843, 0.011765], image_std=[0.2, 0.2, 0.2]" in caplog.text
