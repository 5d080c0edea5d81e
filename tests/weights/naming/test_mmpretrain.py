"""mmpretrain's networks in ours and back: names to the letter, equal logits. Engine-neutral.

What the library itself computed is in golden/mmpretrain.json; see make_foreign_golden.
"""

import json
from pathlib import Path

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.naming.mmpretrain import MMPRETRAIN
from resnext_det.weights.sources import resolve_weights, weights_from_checkpoint
from tests.weights.naming.foreign import CLASSES, digest_of_names, fill, mmpretrain_shapes
from tests.weights.naming.ours import answer, assert_close

GOLDEN = json.loads((Path(__file__).parent / "golden" / "mmpretrain.json").read_text())["networks"]
ARGUMENTS = {
    "resnet18": (18,), "resnet34": (34,), "resnet50": (50,), "resnet101": (101,),
    "resnet152": (152,), "resnet50_caffe": (50,), "resnet18_cifar": (18, 1, 64, 3),
    "resnext50_32x4d": (50, 32, 4), "resnext101_32x4d": (101, 32, 4),
    "resnext101_32x8d": (101, 32, 8), "resnext152_32x4d": (152, 32, 4),
}  # fmt: skip
QUICK = ("resnet18", "resnet18_cifar", "resnet50", "resnet50_caffe", "resnext50_32x4d")
NETWORKS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ARGUMENTS
]
RGB = torchvision_convention()
# As `cfg.pretty_text` of mmengine writes them.
CONFIGS = {
    "resnet50_caffe": "model = dict(backbone=dict(depth=50, style='caffe', type='ResNet'))",
    "resnet18_cifar": (
        "data_preprocessor = dict(\n    mean=[\n        125.307,\n        122.961,\n"
        "        113.8575,\n    ],\n    num_classes=10,\n    std=[\n        51.5865,\n"
        "        50.847,\n        51.255,\n    ],\n    to_rgb=False)\n"
        "model = dict(backbone=dict(style='pytorch'))"
    ),
}


def checkpoint(network, **meta):
    """As mmengine's runner saves it, but for the optimizer."""
    if network in CONFIGS:
        meta["cfg"] = CONFIGS[network]
    state = fill(mmpretrain_shapes(*ARGUMENTS[network]))
    return {"meta": {"epoch": 100, **meta}, "state_dict": state}


def test_there_is_a_golden_network_for_every_one_here():
    assert ARGUMENTS.keys() == GOLDEN.keys()


@pytest.mark.parametrize("network", ARGUMENTS)
def test_names_written_down_here_are_the_librarys(network):
    assert digest_of_names(mmpretrain_shapes(*ARGUMENTS[network])) == GOLDEN[network]["crc32"]


@pytest.mark.parametrize("network", NETWORKS)
def test_logits_are_the_librarys(network, tmp_path):
    torch.save(checkpoint(network), tmp_path / "net.pth")
    weights = resolve_weights(str(tmp_path / "net.pth"))
    assert weights.side_car.naming == "mmpretrain"
    assert weights.convention.stride_in_1x1 is (network == "resnet50_caffe")
    assert_close(answer(weights, network), GOLDEN[network]["logits"])


@pytest.mark.parametrize("network", ["resnet18", "resnext50_32x4d"])
def test_theirs_to_ours_and_back_is_the_same_to_the_bit(network):
    state = fill(mmpretrain_shapes(*ARGUMENTS[network]))
    back = MMPRETRAIN.from_ours(weights_from_checkpoint({"state_dict": state}, "x.pth").state)
    assert list(back) == list(state)
    assert all(back[key] is state[key] for key in state)


@pytest.mark.parametrize("place", ["dataset_meta", "CLASSES"])
def test_class_names_come_with_it(place):
    names = [f"c{i}" for i in range(CLASSES)]
    meta = {"dataset_meta": {"classes": names}} if place == "dataset_meta" else {place: names}
    weights = weights_from_checkpoint(checkpoint("resnet18", **meta), "x.pth")
    assert weights.class_names == tuple(names)


def test_class_names_that_come_twice_get_their_number(caplog):
    names = ["crane", *(f"c{i}" for i in range(CLASSES - 2)), "crane"]
    with caplog.at_level("INFO"):
        weights = weights_from_checkpoint(checkpoint("resnet18", CLASSES=names), "x.pth")
    assert weights.class_names[-1] == "crane (9)"
    assert "class names that come twice got their number: crane (9)" in caplog.text


def test_class_names_of_another_head_are_left_out(caplog):
    with caplog.at_level("INFO"):
        weights = weights_from_checkpoint(checkpoint("resnet18", CLASSES=["a", "b"]), "x.pth")
    assert weights.class_names == ()
    assert "2 class names beside 10 logits are left out" in caplog.text


def test_a_cifar_stem_without_a_config_leaves_the_convention_open():
    state = fill(mmpretrain_shapes(18, 1, 64, 3))
    assert weights_from_checkpoint({"state_dict": state}, "x.pth").convention is None


def test_the_preprocessors_buffers_tell_the_convention():
    state = fill(mmpretrain_shapes(18))
    state["data_preprocessor.mean"] = torch.tensor([103.53, 116.28, 123.675]).reshape(3, 1, 1)
    state["data_preprocessor.std"] = torch.ones(3, 1, 1)
    found = weights_from_checkpoint({"state_dict": state}, "x.pth")
    assert found.convention.format == "BGR"
    assert found.convention.mean == pytest.approx((103.53, 116.28, 123.675))
    assert found.convention.std == (1.0, 1.0, 1.0)
    assert not [key for key in found.state if "preprocessor" in key]


def test_of_a_detector_the_backbone_alone_is_taken_with_a_note(caplog):
    state = fill(mmpretrain_shapes(18))
    del state["head.fc.weight"], state["head.fc.bias"]
    state |= {
        "neck.lateral_convs.0.conv.weight": torch.ones(1),
        "bbox_head.cls.bias": torch.ones(1),
    }
    text = (
        "model = dict(data_preprocessor=dict(bgr_to_rgb=False, mean=[103.53, 116.28, 123.675], "
        "std=[1.0, 1.0, 1.0]), backbone=dict(style='caffe'))"
    )
    with caplog.at_level("INFO"):
        found = weights_from_checkpoint({"meta": {"cfg": text}, "state_dict": state}, "x.pth")
    assert found.convention == Convention("BGR", RGB.mean[::-1], (1.0,) * 3, stride_in_1x1=True)
    assert "its backbone alone is taken, 2 tensors left out (neck.lateral_convs.0" in caplog.text
    assert not [key for key in found.state if "neck" in key or "head" in key]
    # Without a word on its images, a detector may be of either convention.
    assert weights_from_checkpoint({"state_dict": state}, "x.pth").convention is None


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("backbone.stem.0.conv.weight", r"a deep stem \(backbone.stem.0.conv.weight\)"),
        ("backbone.layer2.0.downsample.2.weight", "pooling in its shortcuts, as ResNet-D has"),
        ("backbone.layer1.0.se_layer.conv1.conv.weight", "attention over channels"),
        ("backbone.layer3.1.conv2.conv_offset.weight", "deformable convolutions"),
        ("head.layers.0.fc.weight", "it also has head.layers.0.fc.weight"),
        ("backbone.layer9.0.conv1.weight", "it also has backbone.layer9.0.conv1.weight"),
        ("conv1.weight", "it also has conv1.weight"),
    ],
)
def test_what_no_plain_resnet_has_is_refused_by_name(extra, told):
    state = fill(mmpretrain_shapes(18)) | {extra: torch.ones(1)}
    with pytest.raises(UserError, match=f"x.pth: no plain ResNet or ResNeXt, .*{told}"):
        weights_from_checkpoint({"state_dict": state}, "x.pth")


@pytest.mark.parametrize(
    "text",
    [
        "mean=[1, 2], std=[1, 1, 1], to_rgb=True",
        "mean=[1, 2, x], std=[1, 1, 1], to_rgb=True",
        "mean=[1, 2, 3], mean=[4, 5, 6], std=[1, 1, 1], to_rgb=True",
        "mean=[1, 2, 3], std=[0, 1, 1], to_rgb=True",
        "mean=[1, 2, 3], std=[1, 1, 1], to_rgb=True, to_rgb=False",
        "mean=[1e999, 2, 3], std=[1, 1, 1], to_rgb=True",
        "mean=[1, 2, 3], std=[1, 1, 1]",
        7,
        "x" * (1 << 21),
    ],
    ids=["two", "letters", "twice", "zero", "flags", "infinite", "order", "number", "long"],
)
def test_a_config_that_says_nothing_certain_says_nothing(text):
    state = fill(mmpretrain_shapes(18, 1, 64, 3))
    content = {"meta": {"cfg": text}, "state_dict": state}
    assert weights_from_checkpoint(content, "x.pth").convention is None


def test_a_config_of_other_images_is_followed():
    text = "mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], to_rgb=True"
    content = {"meta": {"config": text}, "state_dict": fill(mmpretrain_shapes(18))}
    found = weights_from_checkpoint(content, "x.pth").convention
    assert found == Convention("RGB", (127.5,) * 3, (127.5,) * 3)
