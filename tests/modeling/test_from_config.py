"""Every key that the backbone reads, from the config tree to the built network."""

import pytest
import torch
from torch import nn

from resnext_det.config import get_cfg
from resnext_det.errors import UserError
from resnext_det.modeling import build_classifier
from resnext_det.modeling.conv import DeformConv2d
from resnext_det.modeling.forms import SplitBottleneck
from resnext_det.modeling.from_config import backbone_from_config, classifier_from_config
from resnext_det.modeling.norms import FrozenBatchNorm2d


def config(*pairs):
    cfg = get_cfg()
    cfg.merge_from_list(list(pairs))
    return cfg


def build(*pairs, **kwargs):
    with torch.device("meta"):
        return backbone_from_config(config(*pairs), **kwargs)


def test_detectron2s_defaults():
    """R50-C4: res4 alone, frozen up to res2, stride in the 1x1."""
    network = build()
    assert {n: (s.channels, s.stride) for n, s in network.output_shape().items()} == {
        "res4": (1024, 16)
    }
    assert network.stage_names == ("res2", "res3", "res4")
    trained = {name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad}
    assert trained == {"res3", "res4"}
    assert network.res3[0].conv1.stride == (2, 2)
    assert isinstance(network.res4[0].conv1.norm, FrozenBatchNorm2d)


def test_each_key_reaches_the_network():
    r = "MODEL.RESNETS."
    network = build(
        *(r + "DEPTH", 26, r + "NUM_GROUPS", 16, r + "WIDTH_PER_GROUP", 8, r + "NORM", "BN"),
        *(r + "STEM_OUT_CHANNELS", 32, r + "RES2_OUT_CHANNELS", 128, r + "STRIDE_IN_1X1", False),
        *(r + "RES5_DILATION", 2, r + "OUT_FEATURES", ["res2", "res5"], r + "STEM", "cifar"),
        *(r + "BLOCK_FORM", "split", r + "ZERO_INIT_RESIDUAL", True),
        *(r + "ACTIVATION_CHECKPOINTING", True, "MODEL.BACKBONE.FREEZE_AT", 1),
    )
    shapes = {n: (s.channels, s.stride) for n, s in network.output_shape().items()}
    assert shapes == {"res2": (128, 1), "res5": (1024, 4)}
    assert network.stem.conv1.weight.shape == (32, 3, 3, 3)
    assert not network.stem.conv1.weight.requires_grad
    block = network.res3[0]
    assert isinstance(block, SplitBottleneck)
    assert len(block.paths) == 16
    assert block.paths[0].conv2.weight.shape == (16, 16, 3, 3)
    assert block.paths[0].conv2.stride == (2, 2)
    assert isinstance(block.norm, nn.BatchNorm2d)
    assert network.activation_checkpointing


def test_zero_initialisation_reaches_the_network():
    small = ("MODEL.RESNETS.DEPTH", 26, "MODEL.RESNETS.NORM", "GN")
    network = backbone_from_config(config(*small, "MODEL.RESNETS.ZERO_INIT_RESIDUAL", True))
    assert network.res3[0].conv3.norm.weight.abs().max() == 0


def test_arguments_go_before_the_config():
    network = build(out_features=("res2", "res3"), freeze_at=0)
    assert list(network.output_shape()) == ["res2", "res3"]
    assert all(p.requires_grad for p in network.parameters())


def test_classifier():
    cfg = config("MODEL.CLASSIFIER.NUM_CLASSES", 20, "MODEL.BACKBONE.FREEZE_AT", 0)
    cfg.merge_from_list(["MODEL.RESNETS.NORM", "BN", "MODEL.RESNETS.NUM_GROUPS", 32])
    cfg.merge_from_list(["MODEL.RESNETS.WIDTH_PER_GROUP", 4])
    with torch.device("meta"):
        ours, named = classifier_from_config(cfg), build_classifier("resnext50_32x4d", 20)
    assert ours(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 20)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in named.state_dict().items()
    }


@pytest.mark.parametrize("depth", [18, 34])
def test_basic_blocks_need_64_channels(depth):
    key = "MODEL.RESNETS.RES2_OUT_CHANNELS"
    with pytest.raises(UserError, match=f"{key} must be 64 with DEPTH {depth}.*it is 256"):
        build("MODEL.RESNETS.DEPTH", depth)
    network = build("MODEL.RESNETS.DEPTH", depth, key, 64)
    assert network.output_shape()["res4"].channels == 256


def test_the_three_keys_of_deformable_convolution():
    r = "MODEL.RESNETS."
    network = build(
        *(r + "DEFORM_ON_PER_STAGE", [False, False, True, False], r + "DEFORM_MODULATED", True),
        *(r + "DEFORM_NUM_GROUPS", 2),
    )
    deformable = [name for name, m in network.named_modules() if isinstance(m, DeformConv2d)]
    assert deformable == [f"res4.{block}.conv2" for block in range(6)]
    assert network.res4[0].conv2_offset.weight.shape == (2 * 27, 256, 3, 3)
