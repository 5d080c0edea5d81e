"""torchvision's and timm's networks in ours: every tensor placed, equal logits. Engine-neutral."""

import pytest
import timm
import torch
import torchvision

from resnext_det.errors import UserError
from resnext_det.modeling import build_classifier
from resnext_det.modeling.classifier import Classifier
from resnext_det.weights.convention import torchvision_convention
from resnext_det.weights.load import load_weights, require_head
from resnext_det.weights.naming.base import UnknownNames
from resnext_det.weights.naming.detectron2 import is_backbone_key
from resnext_det.weights.naming.torchvision import TORCHVISION, rename_key
from resnext_det.weights.sources import weights_from_checkpoint, weights_from_state

# What our networks are called, or are built with, where it is not the library's name.
OURS = {
    "wide_resnet50_2": {"depth": 50, "width_per_group": 128},
    "wide_resnet101_2": {"depth": 101, "width_per_group": 128},
    "resnext101_32x16d": {"depth": 101, "num_groups": 32, "width_per_group": 16},
    "resnext101_32x32d": {"depth": 101, "num_groups": 32, "width_per_group": 32},
}
TORCHVISION_NAMES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
                     "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d",
                     "wide_resnet50_2", "wide_resnet101_2")  # fmt: skip
TIMM_NAMES = (*TORCHVISION_NAMES, "resnet26", "resnet200", "resnext101_32x4d", "resnext101_32x16d",
              "resnext101_32x32d")  # fmt: skip
LIGHT = ("resnet18", "resnet34", "resnet50", "resnext50_32x4d", "resnet26")
GIANTS = ("resnext101_32x16d", "resnext101_32x32d")  # 194 M and 469 M numbers: names alone
LIBRARIES = {
    "torchvision": (torchvision.models.get_model, TORCHVISION_NAMES),
    "timm": (timm.create_model, TIMM_NAMES),
}
CASES = [
    pytest.param(create, name, id=f"{library}-{name}",
                 marks=() if name in LIGHT else pytest.mark.slow)
    for library, (create, names) in LIBRARIES.items()
    for name in names
    if name not in GIANTS and not (library == "timm" and name in ("resnet18", "resnet34"))
]  # fmt: skip
ALL = [
    pytest.param(create, name, id=f"{library}-{name}")
    for library, (create, names) in LIBRARIES.items()
    for name in names
]


def build(name):
    return Classifier(num_classes=1000, **OURS[name]) if name in OURS else build_classifier(name)


@pytest.mark.parametrize(("create", "name"), CASES)
def test_logits_are_equal_and_the_way_back_is_the_same_to_the_bit(create, name, randomise):
    torch.manual_seed(0)
    theirs = randomise(create(name))
    ours = build(name).eval()
    weights = weights_from_state(theirs.state_dict(), name)
    report = load_weights(ours, weights, min_share=1.0)
    require_head(report)
    assert report.share_tensors == report.share_params == report.backbone_share == 1.0
    assert not report.unexpected
    with torch.no_grad():
        image = torch.rand(1, 3, 64, 64)
        expected, found = theirs(image), ours(image)
    assert (expected - found).abs().max() <= 1e-5 * expected.abs().max()
    back = TORCHVISION.from_ours(ours.state_dict())
    assert_same(back, theirs.state_dict())
    again = weights_from_state(back, name).state
    assert_same(again, ours.state_dict())
    theirs.load_state_dict(back, strict=True)


@pytest.mark.parametrize(("create", "name"), ALL)
def test_every_tensor_has_its_place_there_and_back(create, name):
    with torch.device("meta"):
        theirs, ours = create(name).state_dict(), build(name).state_dict()
    renamed = {rename_key(name): value for name, value in theirs.items()}
    assert {k: v.shape for k, v in renamed.items()} == {k: v.shape for k, v in ours.items()}
    assert list(TORCHVISION.from_ours(renamed)) == list(theirs)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert [k for k, v in found.items() if not torch.equal(v, expected[k])] == []


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


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet50c", r"a deep stem \(conv1.0.weight\)"),
        ("resnet50d", r"a deep stem \(conv1.0.weight\), pooling in its shortcuts, as ResNet-D"),
        ("seresnet50", r"attention over channels \(layer1.0.se.fc1.weight\)"),
        ("ecaresnet50t", "a deep stem"),
        ("skresnet18", "attention over channels"),
    ],
)
def test_timms_other_networks_are_refused_by_name(name, told):
    with torch.device("meta"):
        state = timm.create_model(name).state_dict()
    # The tables read names and shapes; a meta tensor is refused before them.
    state = {key: torch.zeros(1) for key in state} | {"layer1.0.conv2.weight": torch.zeros(1)}
    with pytest.raises(UserError, match=f"x.pth: no plain ResNet or ResNeXt, it also has .*{told}"):
        weights_from_state(state, "x.pth")


def small_state():
    with torch.device("meta"):
        state = torchvision.models.resnet18().state_dict()
    return {key: torch.full(value.shape, 2.0) for key, value in state.items()}


@pytest.mark.parametrize("entry", ["state_dict_ema", "model_ema"])
def test_of_a_training_checkpoint_the_averaged_weights_are_taken(entry, caplog):
    state = small_state()
    averaged = {f"module.{key}": value + 1 for key, value in state.items()}
    averaged["n_averaged"] = torch.tensor(5)
    place = "state_dict" if entry == "state_dict_ema" else "model"
    content = {"epoch": 3, "arch": "resnet18", place: state, entry: averaged, "metric": 70.0}
    with caplog.at_level("INFO"):
        found = weights_from_checkpoint(content, "x.pth.tar").state
    assert found.keys() == weights_from_state(state, "x").state.keys()
    assert {value.flatten()[0].item() for value in found.values()} == {3.0}
    assert f"its averaged weights ({entry}) are taken" in caplog.text


def test_averaged_weights_that_are_no_plain_numbers_are_refused():
    sparse = {"conv1.weight": torch.eye(3).to_sparse()}
    content = {"state_dict": small_state(), "state_dict_ema": sparse}
    with pytest.raises(UserError, match="conv1.weight is a sparse tensor"):
        weights_from_checkpoint(content, "x.pth")


def test_of_torchvisions_detectors_the_backbone_alone_is_taken_with_a_note(caplog):
    with torch.device("meta"):
        theirs = torchvision.models.detection.fasterrcnn_resnet50_fpn(
            weights=None, weights_backbone=None
        ).state_dict()
    state = {key: torch.zeros(value.shape) for key, value in theirs.items()}
    with caplog.at_level("INFO"):
        found = weights_from_state(state, "x.pth")
    with torch.device("meta"):
        ours = build_classifier("resnet50").state_dict()
    expected = {key for key in ours if not key.startswith("linear.")}
    assert found.state.keys() == expected
    assert "torchvision's detector: its backbone alone, 30 tensors left out" in caplog.text
    assert found.convention == torchvision_convention()


def test_a_cifar_stem_leaves_the_convention_open():
    state = small_state() | {"conv1.weight": torch.zeros(64, 3, 3, 3)}
    assert weights_from_state(state, "x.pth").convention is None


def test_norms_are_told_by_their_statistics():
    assert weights_from_state(small_state(), "x.pth").side_car.norm == "BN"
    grouped = {k: v for k, v in small_state().items() if "running" not in k and "num_" not in k}
    assert weights_from_state(grouped, "x.pth").side_car.norm == "GN"


@pytest.mark.parametrize(
    "name",
    [
        "backbone.bottom_up.res2.0.conv1.weight",
        "res2.0.conv2_offset.weight",
        "res1.0.conv1.weight",
        "res6.0.conv1.weight",
        "res2.0.paths.0.conv1.weight",
        "stem.fc.weight",
        "linear.weight.x",
    ],
)
def test_what_they_have_no_name_for_is_refused_by_name(name):
    with pytest.raises(UnknownNames, match=f"^{name}$"):
        TORCHVISION.from_ours({name: torch.zeros(1)})


@pytest.mark.parametrize(
    "key", ["layer\u0663.0.conv1.weight", "layer1." + "9" * 5000 + ".bn1.bias"]
)
def test_odd_numbers_are_no_names(key):
    assert rename_key(key) is None
