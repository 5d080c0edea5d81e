"""The paper's three forms of one block: same function, same gradients, exact conversion."""

import itertools

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.modeling import ResNet, convert_form
from resnext_det.modeling.blocks import BottleneckBlock
from resnext_det.modeling.forms import FORMS, ConcatBottleneck, SplitBottleneck

CLASSES = {"grouped": BottleneckBlock, "split": SplitBottleneck, "concat": ConcatBottleneck}
SMALL = {
    "depth": 26,
    "num_groups": 8,
    "width_per_group": 4,
    "stem_out_channels": 32,
    "res2_out_channels": 64,
}


def disturb(network: torch.nn.Module) -> None:
    """Moves norm values off their identity start."""
    for key, value in network.state_dict().items():
        if "norm" in key and value.is_floating_point():
            value.uniform_(0.5, 1.5)


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(FORMS, 2)))
@pytest.mark.parametrize("norm", ["FrozenBN", "BN", "GN"])
def test_backbones_of_two_forms_agree(source, target, norm):
    first = ResNet(block_form=source, norm=norm, **SMALL).eval()
    disturb(first)
    second = ResNet(block_form=target, norm=norm, **SMALL).eval()
    state = convert_form(first.state_dict(), source, target, 8)
    second.load_state_dict(state)
    images = torch.randn(2, 3, 64, 64)
    expected, got = first(images), second(images)
    for name in expected:
        assert (got[name] - expected[name]).abs().max() <= 1e-5 * expected[name].abs().max()
    back = convert_form(second.state_dict(), target, source, 8)
    for key, value in first.state_dict().items():
        assert torch.equal(back[key], value)
    assert back.keys() == first.state_dict().keys()


@pytest.mark.parametrize("form", ["split", "concat"])
def test_gradients_agree(form):
    grouped = BottleneckBlock(16, 32, bottleneck_channels=24, num_groups=4, stride=2, norm="BN")
    other = CLASSES[form](16, 32, bottleneck_channels=24, num_groups=4, stride=2, norm="BN")
    other.load_state_dict(convert_form(grouped.state_dict(), "grouped", form, 4))
    x = torch.randn(3, 16, 8, 8)
    for block in (grouped, other):
        block(x).square().sum().backward()
    gradients = convert_form(
        {key: p.grad for key, p in other.named_parameters()}, form, "grouped", 4
    )
    for key, parameter in grouped.named_parameters():
        torch.testing.assert_close(gradients[key], parameter.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stride_in_1x1", [True, False])
def test_a_dilated_or_strided_block_agrees(form, stride_in_1x1):
    arguments = {"bottleneck_channels": 8, "num_groups": 2, "stride_in_1x1": stride_in_1x1}
    for extra in ({"stride": 2}, {"dilation": 2}):
        grouped = BottleneckBlock(8, 16, **arguments, **extra)
        other = CLASSES[form](8, 16, **arguments, **extra)
        other.load_state_dict(convert_form(grouped.state_dict(), "grouped", form, 2))
        x = torch.randn(1, 8, 9, 9)
        torch.testing.assert_close(other(x), grouped(x), rtol=1e-5, atol=1e-5)


def test_block_parameters_are_equation_4():
    """C (256 d + 9 d² + 256 d), whatever the form (paper, Eq. 4)."""
    for form, (groups, width) in itertools.product(FORMS, [(1, 64), (2, 40), (8, 14), (32, 4)]):
        block = CLASSES[form](256, 256, bottleneck_channels=groups * width, num_groups=groups)
        count = sum(p.numel() for p in block.parameters())
        assert count == groups * (256 * width + 9 * width**2 + 256 * width)


@pytest.mark.parametrize("form", ["split", "concat"])
def test_all_forms_start_from_one_distribution(form):
    block = CLASSES[form](256, 256, bottleneck_channels=128, num_groups=32)
    merged = convert_form(block.state_dict(), form, "grouped", 32)
    for key, fan_out in (("conv1", 128), ("conv2", 9 * 128), ("conv3", 256)):
        assert merged[f"{key}.weight"].std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


@pytest.mark.parametrize("form", ["split", "concat"])
def test_zero_init_and_freezing_reach_every_form(form):
    network = ResNet(block_form=form, norm="BN", zero_init_residual=True, **SMALL).eval()
    x = torch.randn(1, 64, 8, 8)
    assert torch.equal(network.res2[1](x), x.relu())
    network.freeze(5)
    assert not any(p.requires_grad for p in network.parameters())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())


def test_conversion_keeps_prefixes_and_other_keys():
    state = {
        "backbone.bottom_up.res2.0.conv1.weight": torch.randn(8, 4, 1, 1),
        "backbone.bottom_up.res2.0.conv3.norm.weight": torch.randn(16),
        "backbone.bottom_up.stem.conv1.weight": torch.randn(4, 3, 7, 7),
        "backbone.fpn_lateral2.weight": torch.randn(4, 4, 1, 1),
    }
    split = convert_form(state, "grouped", "split", 2)
    assert set(split) == {
        "backbone.bottom_up.res2.0.paths.0.conv1.weight",
        "backbone.bottom_up.res2.0.paths.1.conv1.weight",
        "backbone.bottom_up.res2.0.norm.weight",
        "backbone.bottom_up.stem.conv1.weight",
        "backbone.fpn_lateral2.weight",
    }
    back = convert_form(split, "split", "grouped", 2)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], value) for key, value in state.items())
    assert convert_form({}, "grouped", "split", 2) == {}


def test_refusals():
    with pytest.raises(UserError, match="unknown block form 'c'"):
        convert_form({}, "grouped", "c", 2)
    with pytest.raises(UserError, match="8 bottleneck channels cannot be shared by 3 groups"):
        convert_form({"conv1.weight": torch.zeros(8, 4, 1, 1)}, "grouped", "split", 3)
    with pytest.raises(UserError, match="norm GN with 64 paths would normalise across paths"):
        SplitBottleneck(256, 256, bottleneck_channels=2048, num_groups=64, norm="GN")


def test_no_images():
    for form in FORMS:
        block = CLASSES[form](8, 16, bottleneck_channels=8, num_groups=2)
        assert block(torch.zeros(0, 8, 4, 4)).shape == (0, 16, 4, 4)
