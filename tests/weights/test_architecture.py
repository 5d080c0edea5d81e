"""Architectures read from shapes, for every variant. Engine-neutral."""

import pytest
import torch

from resnext_det.modeling import build_backbone, build_classifier, list_variants
from resnext_det.modeling.resnet import ResNet
from resnext_det.modeling.variants import get_variant
from resnext_det.weights.architecture import infer_architecture, special_parts


def state_of(build, *args, **kwargs):
    with torch.device("meta"):
        return build(*args, **kwargs).state_dict()


@pytest.mark.parametrize("name", list_variants())
def test_every_variant_is_recognised(name):
    variant = get_variant(name)
    found = infer_architecture(state_of(build_classifier, name))
    assert found is not None
    assert found.depth == variant.depth
    expected = (variant.num_groups, variant.width_per_group)
    assert (found.num_groups, found.width_per_group) == expected
    assert (found.variant, found.name, found.stem) == (name, name, variant.stem)
    assert found.kind == ("ResNeXt" if "resnext" in name else "ResNet")
    assert (found.norm, found.special) == ("BN", ())
    with torch.device("meta"):
        rebuilt = found.build(norm="BN")
    assert rebuilt is not None
    shapes = {key: value.shape for key, value in rebuilt.state_dict().items()}
    whole = state_of(build_backbone, name, norm="BN")
    assert shapes == {key: value.shape for key, value in whole.items()}


def test_words():
    state = state_of(build_classifier, "resnext101_64x4d")
    assert str(infer_architecture(state)) == "64x4d (depth 101)"


def test_a_detectors_prefix_and_missing_stages_do_not_matter():
    whole = state_of(build_classifier, "resnext50_32x4d")
    part = state_of(build_backbone, "resnext50_32x4d", out_features=("res4",))
    other = state_of(build_classifier, "resnext101_32x4d")
    whole, part, other = (infer_architecture(s) for s in (whole, part, other))
    assert whole is not None
    assert part is not None
    assert other is not None
    assert whole.fits(part)
    assert part.fits(whole)
    assert not whole.fits(other)
    # The first three stages of 50 are those of no other bottleneck network.
    assert (part.depth, part.variant) == (50, "resnext50_32x4d")
    state = state_of(build_backbone, "resnext50_32x4d")
    inside = infer_architecture({f"backbone.bottom_up.{k}": v for k, v in state.items()})
    assert inside == whole


def test_a_c4_detectors_res5_sits_in_its_head():
    state = state_of(build_classifier, "resnext50_32x4d")
    moved = {
        ("roi_heads." if key.startswith("res5") else "backbone.") + key: value
        for key, value in state.items()
        if not key.startswith("linear")
    }
    assert infer_architecture(moved) == infer_architecture(state)


def test_two_stages_alone_are_of_several_depths():
    found = infer_architecture(state_of(build_backbone, "resnet50", out_features=("res3",)))
    assert found is not None
    assert found.depth == 3 * (3 + 4) + 2  # of 50 and of 101
    assert (found.variant, found.name) == (None, "ResNet 1x64d (depth 23)")
    assert found.build() is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depth": 50, "width_per_group": 128}, "ResNet 1x128d (depth 50)"),
        ({"depth": 50, "num_groups": 16, "width_per_group": 8}, "ResNeXt 16x8d (depth 50)"),
        ({"depth": 50, "res2_out_channels": 128}, "ResNet 1x64d (depth 50)"),
        ({"depth": 50, "stem_out_channels": 32}, "ResNet 1x64d (depth 50)"),
        ({"depth": 29, "stem": "imagenet"}, "ResNet 1x64d (depth 29)"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_networks_that_no_variant_is(arguments, words):
    state = state_of(ResNet, **arguments)
    found = infer_architecture(state)
    assert found is not None
    assert (found.variant, found.name) == (None, words)
    with torch.device("meta"):
        rebuilt = found.build()
    assert rebuilt is not None
    shapes = {key: value.shape for key, value in rebuilt.state_dict().items()}
    assert shapes == {key: value.shape for key, value in state.items()}


def test_basic_blocks_of_a_cifar_resnet():
    # ResNet-20 (arXiv 1512.03385, Section 4.2): 6n + 2 layers, n = 3, 16 channels.
    state = {"stem.conv1.weight": torch.zeros(16, 3, 3, 3)}
    for stage in range(3):
        for block in range(3):
            for conv in (1, 2):
                key = f"res{stage + 2}.{block}.conv{conv}.weight"
                state[key] = torch.zeros(16 << stage, 16 << stage, 3, 3)
    found = infer_architecture(state)
    assert found is not None
    assert (found.depth, found.bottleneck, found.stem, found.norm) == (20, False, "cifar", "")
    assert found.variant is None
    assert found.build() is None


@pytest.mark.parametrize(("norm", "expected"), [("FrozenBN", "BN"), ("GN", "GN"), ("", "")])
def test_norms(norm, expected):
    found = infer_architecture(state_of(build_backbone, "resnext50_32x4d", norm=norm))
    assert found is not None
    assert found.norm == expected


def test_deformable_networks_are_named_and_not_built():
    deformable = (False, True, True, True)
    state = state_of(build_backbone, "resnet50", deform_on_per_stage=deformable)
    found = infer_architecture(state)
    assert found is not None
    assert found.special == ("deformable convolutions",)
    assert (found.depth, found.build()) == (50, None)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("seresnext50_32x4d", "squeeze and excitation"),
        ("resnet50d", "a deep stem"),
        ("skresnext50_32x4d", "attention or selective kernels"),
        ("resnest50d", "attention or selective kernels"),
        ("resnet50", None),
        ("resnext50_32x4d", None),
    ],
)
def test_relatives_that_are_no_plain_resnets(model, words):
    import timm

    names = state_of(timm.create_model, model, pretrained=False)
    found = special_parts(names)
    assert words in found if words else not found


def test_separate_paths_are_named():
    state = state_of(build_backbone, "resnext26_32x4d", norm="BN", block_form="split")
    assert infer_architecture(state) is None
    assert special_parts(state) == ("blocks in separate paths",)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"linear.weight": torch.zeros(1, 1)},
        {"res2.0.conv2.weight": torch.zeros(())},
        {"res2.0.conv2.weight": torch.zeros(4, 0, 3, 3)},
        {"res2.0.conv2.weight": torch.zeros(2, 64, 3, 3)},
    ],
    ids=["empty", "a-linear-layer", "a-number", "no-channels", "more-in-than-out"],
)
def test_nothing_known(state):
    assert infer_architecture(state) is None


def test_widths_that_no_network_has_are_not_built():
    state = {
        "stem.conv1.weight": torch.zeros(64, 3, 7, 7),
        "res2.0.conv1.weight": torch.zeros(7, 64, 1, 1),
        "res2.0.conv2.weight": torch.zeros(7, 2, 3, 3),
        "res2.0.conv3.weight": torch.zeros(256, 7, 1, 1),
        "res2.99.conv3.weight": torch.zeros(256, 7, 1, 1),
    }
    found = infer_architecture(state)
    assert found is not None
    assert found.build() is None
