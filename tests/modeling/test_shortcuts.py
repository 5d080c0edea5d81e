"""Networks without residual connections: the paper's ablation."""

import pytest
import torch
from torch.nn import functional

from resnext_det import build_backbone, build_classifier
from resnext_det.config import get_cfg
from resnext_det.errors import UserError
from resnext_det.modeling.complexity import measure_complexity
from resnext_det.modeling.from_config import backbone_from_config
from resnext_det.modeling.resnet import ResNet

# Channels in and out of each stage's first block, and the side of its output at 224 px.
PROJECTIONS = ((64, 256, 56), (256, 512, 28), (512, 1024, 14), (1024, 2048, 7))
SMALL = {"width_per_group": 8, "stem_out_channels": 16, "res2_out_channels": 32}


@pytest.mark.parametrize("variant", ["resnet50", "resnext50_32x4d"])
def test_complexity_is_less_by_the_projections(variant):
    with torch.device("meta"):
        plain, residual = (build_classifier(variant, shortcuts=s) for s in (False, True))
    ours, theirs = measure_complexity(plain), measure_complexity(residual)
    # 1x1 convolutions with a scale and a shift for each output channel.
    params = sum(c_in * c_out + 2 * c_out for c_in, c_out, _ in PROJECTIONS)
    flops = sum(c_in * c_out * side**2 for c_in, c_out, side in PROJECTIONS)
    norms = sum(2 * c_out * side**2 for _, c_out, side in PROJECTIONS)
    assert theirs.params - ours.params == params
    assert theirs.flops - ours.flops == flops
    assert theirs.flops_table - ours.flops_table == flops + norms


@pytest.mark.parametrize("form", ["grouped", "split", "concat"])
def test_the_other_names_stay(form):
    with torch.device("meta"):
        plain, residual = (
            build_backbone("resnext26_32x4d", block_form=form, norm="BN", shortcuts=s)
            for s in (False, True)
        )
    left_out = set(residual.state_dict()) - set(plain.state_dict())
    assert set(plain.state_dict()) < set(residual.state_dict())
    assert {name.split(".")[2] for name in left_out} == {"shortcut"}
    assert len(left_out) == 4 * 6  # weight, and five of the norm, for each stage


@pytest.mark.parametrize("depth", [18, 26])
def test_a_block_is_its_transform_alone(depth):
    network = ResNet(depth=depth, norm="BN", shortcuts=False, **SMALL).eval()
    for block in (network.res3[0], network.res3[1]):
        x = torch.randn(2, block.in_channels, 8, 8)
        expected = functional.relu(block.transform(x))
        torch.testing.assert_close(block(x), expected, rtol=0, atol=0)


def test_the_whole_is_a_plain_stack():
    """Each block by its formula, from its parameters."""
    network = ResNet(depth=26, num_groups=4, shortcuts=False, **SMALL).eval()
    images = torch.randn(1, 3, 64, 64)
    x = network.stem(images)
    for stage in network.stages():
        for block in stage:
            for conv in (block.conv1, block.conv2, block.conv3):
                x = functional.conv2d(
                    x, conv.weight, None, conv.stride, conv.padding, 1, conv.groups
                )
                x = functional.relu(x) if conv is not block.conv3 else x
            x = functional.relu(x)
    torch.testing.assert_close(network(images)["res5"], x, rtol=1e-5, atol=1e-6)


def test_deformable_blocks_have_none_either():
    network = ResNet(depth=26, shortcuts=False, deform_on_per_stage=[False, False, False, True])
    assert not any("shortcut" in name for name in network.state_dict())
    assert not network.res5[1].residual


def test_the_key_reaches_the_network():
    cfg = get_cfg()
    cfg.MODEL.RESNETS.SHORTCUTS = False
    with torch.device("meta"):
        network = backbone_from_config(cfg)
    assert not any("shortcut" in name for name in network.state_dict())


def test_scales_of_zero_are_refused():
    with pytest.raises(UserError, match="zero_init_residual cannot work without shortcuts"):
        ResNet(depth=26, norm="BN", shortcuts=False, zero_init_residual=True)
