"""Names, shapes, freezing, initialisation and refusals of the backbone."""

import math

import pytest
import torch
from torch import nn

from resnext_det import build_backbone, build_classifier, list_variants
from resnext_det.errors import UserError
from resnext_det.modeling import ResNet, get_variant
from resnext_det.modeling.blocks import BasicBlock, BottleneckBlock
from resnext_det.modeling.norms import FrozenBatchNorm2d

TINY = {"stem_out_channels": 32, "res2_out_channels": 32, "width_per_group": 32}
TINY_GROUPED = {**TINY, "num_groups": 8, "width_per_group": 4}


@pytest.mark.parametrize("name", list_variants())
def test_every_variant_builds_on_meta_with_its_channels_and_strides(name):
    with torch.device("meta"):
        network = build_backbone(name)
    size = get_variant(name).image_size
    outputs = network(torch.empty(2, 3, size, size, device="meta"))
    shapes = network.output_shape()
    basic = get_variant(name).depth in (18, 34)
    cifar = get_variant(name).stem == "cifar"
    base, strides = (64 if basic else 256), ((1, 2, 4) if cifar else (4, 8, 16, 32))
    assert list(outputs) == list(shapes) == [f"res{i + 2}" for i in range(len(strides))]
    for i, (feature, shape) in enumerate(shapes.items()):
        assert (shape.channels, shape.stride) == (base * 2**i, strides[i])
        side = size // shape.stride
        assert outputs[feature].shape == (2, shape.channels, side, side)


@pytest.mark.parametrize("depth", [18, 26, 34, 50, 101, 152, 200])
def test_depth_is_the_number_of_weighted_layers(depth):
    with torch.device("meta"):
        network = ResNet(depth=depth, num_classes=1000)
    convs = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)]
    assert len([n for n in convs if "shortcut" not in n]) + 1 == depth


def test_parameter_names_are_detectron2s():
    keys = set(ResNet(depth=26, norm="BN", **TINY).state_dict())
    leaves = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    convs = ["stem.conv1"]
    for stage in range(2, 6):
        for block in range(2):
            convs += [f"res{stage}.{block}.conv{i}" for i in (1, 2, 3)]
        if stage > 2:  # tiny: res2 keeps the stem's 32 channels, so it needs no projection
            convs.append(f"res{stage}.0.shortcut")
    expected = {f"{c}.weight" for c in convs} | {f"{c}.norm.{x}" for c in convs for x in leaves}
    assert keys == expected


def test_classifier_keys_have_no_prefix_and_extend_the_backbones():
    with torch.device("meta"):
        classifier = set(build_classifier("resnext50_32x4d").state_dict())
        backbone = set(build_backbone("resnext50_32x4d", norm="BN").state_dict())
    assert classifier - backbone == {"linear.weight", "linear.bias"}
    assert backbone <= classifier


def test_only_the_stages_needed_are_built():
    network = ResNet(depth=26, out_features=("stem", "res3"), **TINY)
    assert network.stage_names == ("res2", "res3")
    outputs = network(torch.randn(1, 3, 33, 65))
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {
        "stem": (1, 32, 9, 17),
        "res3": (1, 64, 5, 9),
    }
    assert set(network.output_shape()) == {"stem", "res3"}
    assert network.size_divisibility == 0


@pytest.mark.parametrize("norm", ["FrozenBN", "BN", "SyncBN", "GN"])
def test_no_images_give_empty_features(norm):
    network = ResNet(depth=26, norm=norm, **TINY_GROUPED).eval()
    outputs = network(torch.zeros(0, 3, 64, 64))
    assert outputs["res5"].shape == (0, 256, 2, 2)
    assert build_classifier("resnext29_8x64d", 10).eval()(torch.zeros(0, 3, 8, 8)).shape == (0, 10)


@pytest.mark.parametrize("norm", ["BN", "SyncBN", "GN"])
@pytest.mark.parametrize("freeze_at", range(6))
def test_freeze_at(norm, freeze_at):
    network = ResNet(depth=26, norm=norm, freeze_at=freeze_at, **TINY)
    modules = [network.stem, *network.stages()]
    for i, module in enumerate(modules):
        frozen = i < freeze_at
        assert all(p.requires_grad is not frozen for p in module.parameters())
        batch_norms = (nn.BatchNorm2d, nn.SyncBatchNorm)
        assert any(isinstance(m, batch_norms) for m in module.modules()) is (
            norm != "GN" and not frozen
        )


def test_freezing_keeps_the_function_and_the_state_dict(randomise):
    network = randomise(ResNetMap(depth=26, norm="BN", **TINY_GROUPED)).network
    images = torch.randn(1, 3, 64, 64)
    before, keys = network(images)["res5"], set(network.state_dict())
    network.freeze(5).train()
    assert set(network.state_dict()) == keys
    torch.testing.assert_close(network(images)["res5"], before)


class ResNetMap(nn.Module):
    """A backbone that returns one tensor, as `randomise` wants."""

    def __init__(self, **kwargs):
        super().__init__()
        self.network = ResNet(**kwargs)

    def forward(self, x):
        return self.network(x)["res5"]


def test_initialisation_is_msra_fan_out():
    network = build_backbone("resnext50_32x4d")
    for name in ("res4.0.conv1", "res4.0.conv2", "res5.1.conv3", "res5.0.shortcut"):
        weight = network.get_parameter(name + ".weight")
        fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
        assert weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.02)
        assert abs(weight.mean().item()) < 0.02 * weight.std().item() + 1e-4


def test_linear_layer_starts_at_std_001():
    linear = build_classifier("resnet26", 500).linear
    assert linear.weight.std().item() == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize("norm", ["BN", "SyncBN", "GN"])
@pytest.mark.parametrize("depth", [18, 26])
def test_zero_init_makes_each_branch_zero(norm, depth):
    network = ResNet(depth=depth, norm=norm, zero_init_residual=True, **TINY).eval()
    block = network.res3[1]
    assert isinstance(block, BasicBlock if depth == 18 else BottleneckBlock)
    x = torch.randn(1, 64, 8, 8)
    torch.testing.assert_close(block(x), x.relu(), rtol=0, atol=0)


def test_zero_init_is_off_by_default():
    assert ResNet(depth=26, norm="BN", **TINY).res2[0].conv3.norm.weight.min() == 1


@pytest.mark.parametrize("stride_in_1x1", [True, False])
def test_stride_place(stride_in_1x1):
    block = ResNet(depth=50, stride_in_1x1=stride_in_1x1, **TINY).res3[0]
    assert block.conv1.stride == ((2, 2) if stride_in_1x1 else (1, 1))
    assert block.conv2.stride == ((1, 1) if stride_in_1x1 else (2, 2))
    assert block.shortcut.stride == (2, 2)


def test_dilation_keeps_the_stride_of_res4():
    network = ResNet(depth=26, res5_dilation=2, **TINY)
    assert [s.stride for s in network.output_shape().values()] == [4, 8, 16, 16]
    assert {b.conv2.dilation for b in network.res5} == {(2, 2)}
    assert network(torch.randn(1, 3, 64, 64))["res5"].shape[-2:] == (4, 4)


def test_state_dict_round_trip_from_meta():
    source = ResNet(depth=26, **TINY_GROUPED)
    with torch.device("meta"):
        copy = ResNet(depth=26, **TINY_GROUPED)
    copy.load_state_dict(source.state_dict(), assign=True)
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(copy(images), source(images), rtol=0, atol=0)


def test_batch_norm_checkpoint_loads_strictly_into_the_frozen_backbone():
    trained = ResNet(depth=26, norm="BN", **TINY)
    frozen = ResNet(depth=26, norm="FrozenBN", **TINY)
    frozen.load_state_dict(trained.state_dict())
    assert isinstance(frozen.stem.conv1.norm, FrozenBatchNorm2d)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"depth": 49}, "no ResNet of depth 49 is known: choose one of 18, 26"),
        ({"depth": 18, "num_groups": 32}, "basic blocks, which have no groups.*it is 32"),
        ({"depth": 34, "res5_dilation": 2}, "basic blocks: set res5_dilation to 1"),
        ({"depth": 29, "res5_dilation": 2}, "depth 29 has no res5"),
        ({"depth": 50, "res5_dilation": 3}, "res5_dilation must be 1 or 2; it is 3"),
        ({"depth": 18, "block_form": "split"}, "block_form must be 'grouped', not 'split'"),
        ({"depth": 50, "block_form": "d"}, "unknown block_form 'd': choose one of grouped"),
        ({"depth": 50, "stem": "deep"}, "unknown stem 'deep': choose one of imagenet, cifar"),
        ({"depth": 50, "norm": "LN"}, "unknown norm 'LN': choose one of FrozenBN"),
        ({"depth": 50, "num_groups": 0}, "num_groups must be at least 1; it is 0"),
        ({"depth": 50, "width_per_group": -4}, "width_per_group must be at least 1; it is -4"),
        ({"depth": 50, "res2_out_channels": 0}, "res2_out_channels must be at least 1; it is 0"),
        ({"depth": 50, "num_classes": 0}, "num_classes must be at least 1; it is 0"),
        ({"depth": 50, "norm": "GN", "width_per_group": 40}, "GN cannot divide 40 channels"),
        ({"depth": 50, "zero_init_residual": True}, "zero_init_residual cannot work.*FrozenBN"),
        ({"depth": 50, "freeze_at": 6}, "freeze_at must be 0 … 5.*it is 6"),
        ({"depth": 50, "out_features": ()}, "out_features is empty"),
        ({"depth": 29, "out_features": ["res5"]}, "names 'res5'.*has only stem, res2, res3, res4"),
        ({"depth": 50, "out_features": ["linear"]}, "names 'linear', but this network has only"),
    ],
)
def test_refusals_say_what_to_change(kwargs, message):
    with pytest.raises(UserError, match=message), torch.device("meta"):
        ResNet(**kwargs)


def test_a_width_that_the_groups_cannot_share():
    message = "126 bottleneck channels cannot be shared by 32 groups"
    with pytest.raises(UserError, match=message):
        BottleneckBlock(256, 256, bottleneck_channels=126, num_groups=32)


def test_unknown_variant_names_the_nearest():
    with pytest.raises(UserError, match="'resnext50_32x4'; the nearest is 'resnext50_32x4d'"):
        build_backbone("resnext50_32x4")


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64)])
def test_input_that_is_not_a_batch_of_images(shape):
    with pytest.raises(ValueError, match=r"shape \(N, 3, H, W\); got"):
        ResNet(depth=26, **TINY)(torch.zeros(shape))


def test_variants_are_sorted_and_cover_the_paper():
    names = list_variants()
    assert list(names) == sorted(set(names))
    groups = {
        "resnet": ["50", "101", "152", "200", "101_1x100d"],
        "resnext50_": ["32x4d", "2x40d", "4x24d", "8x14d"],
        "resnext101_": ["32x4d", "32x8d", "64x4d", "2x64d", "2x40d", "4x24d", "8x14d"],
        "resnext152_": ["32x4d", "32x8d"],
        "resnext29_": ["8x64d", "16x64d"],
    }
    assert {prefix + name for prefix, rest in groups.items() for name in rest} <= set(names)


@pytest.mark.parametrize("name", [50, None, b"resnet50", ["resnet50"]])
def test_a_variant_that_is_no_name(name):
    for build in (build_backbone, build_classifier):
        with pytest.raises(
            UserError, match=r"a variant's name is wanted, such as 'resnext50_32x4d"
        ):
            build(name)


@pytest.mark.parametrize("number", ["10", 2.0, True, None])
def test_a_number_of_classes_that_is_none(number):
    with pytest.raises(UserError, match=f"num_classes must be a whole number; it is {number!r}"):
        build_classifier("resnet50", number)
