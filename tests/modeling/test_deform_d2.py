"""Deformable blocks and networks against Detectron2's, live, with the same weights."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from resnext_det.modeling import ResNet
from resnext_det.modeling.deform import DeformBottleneckBlock
from tests.modeling.d2_reference import (
    DEFORMABLE,
    FEATURES,
    GROUPED,
    build_pair,
    build_reference,
    differences,
    disturb_offsets,
    relative,
)

pytestmark = pytest.mark.d2

LIMIT = 1e-6  # of the largest magnitude in a tensor


def block_pair(**kwargs) -> tuple[nn.Module, nn.Module]:
    from detectron2.modeling.backbone.resnet import DeformBottleneckBlock as Reference

    arguments = {"bottleneck_channels": 16, "norm": "FrozenBN", **kwargs}
    ours, theirs = (kind(16, 32, **arguments) for kind in (DeformBottleneckBlock, Reference))
    disturb_offsets(theirs)
    for name, value in theirs.state_dict().items():
        if "norm" in name:
            value.uniform_(0.5, 1.5)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("num_groups", [1, 4])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("stride_in_1x1", [False, True])
def test_version_1_on_detectron2s_own_cpu_path(num_groups, stride, dilation, stride_in_1x1):
    """Its forward runs on a CPU where there is one deformable group."""
    ours, theirs = block_pair(
        num_groups=num_groups, stride=stride, dilation=dilation, stride_in_1x1=stride_in_1x1
    )
    x = torch.randn(2, 16, 9, 11)
    with torch.no_grad():
        assert relative({"y": ours(x)}, {"y": theirs(x)}) <= LIMIT


def test_a_version_1_network_on_detectron2s_own_cpu_path():
    ours, theirs = build_pair({**DEFORMABLE[0], "norm": "FrozenBN"})
    with torch.no_grad():
        images = torch.randn(2, 3, 64, 64)
        assert relative(ours.eval()(images), theirs.eval()(images)) <= LIMIT


@pytest.fixture
def _torchvision_for_cuda(monkeypatch) -> None:
    """Gives Detectron2's layers torchvision's operator, where theirs has CUDA kernels alone.

    Names, layers, and how offsets and masks are cut out are still Detectron2's. Its kernels
    read them as (group, tap, dy and dx), in layers/csrc/deformable/deform_conv_cuda_kernel.cu;
    test_deform.py holds torchvision's operator to that.
    """
    import detectron2.layers.deform_conv as layers
    from torchvision.ops import deform_conv2d

    def version_1(x, offset, weight, stride, padding, dilation, *_) -> Tensor:
        return deform_conv2d(x, offset, weight, None, stride, padding, dilation)

    def version_2(x, offset, mask, weight, bias, stride, padding, dilation, *_) -> Tensor:
        return deform_conv2d(x, offset, weight, bias, stride, padding, dilation, mask)

    monkeypatch.setattr(layers, "deform_conv", version_1)
    monkeypatch.setattr(layers, "modulated_deform_conv", version_2)


@pytest.mark.usefixtures("_torchvision_for_cuda")
@pytest.mark.parametrize(
    ("modulated", "groups", "stride", "dilation"),
    [
        (*version, *step)
        for version, step in itertools.product(
            [(False, 1), (False, 2), (True, 1), (True, 2)], [(2, 1), (1, 2)]
        )
    ],
)
def test_both_versions_forward_and_backward(modulated, groups, stride, dilation):
    ours, theirs = block_pair(
        num_groups=4,
        stride=stride,
        dilation=dilation,
        deform_modulated=modulated,
        deform_num_groups=groups,
    )
    x = torch.randn(2, 16, 9, 11)
    results = []
    for block in (ours, theirs):
        mine = x.clone().requires_grad_()
        y = block(mine)
        y.square().mean().backward()
        gradients = {name: p.grad for name, p in block.named_parameters()}
        results.append({"y": y, "x": mine.grad, **gradients})
    assert relative(*results) <= LIMIT


@pytest.mark.usefixtures("_torchvision_for_cuda")
@pytest.mark.parametrize("norm", ["FrozenBN", "BN", "GN"])
@pytest.mark.parametrize("net", DEFORMABLE)
def test_networks_forward_and_backward(net, norm):
    for gap in differences({**net, "norm": norm, "res5_dilation": 2}):
        assert max(gap.features, gap.gradients, gap.statistics) <= LIMIT


@pytest.mark.parametrize("on", list(itertools.product([False, True], repeat=4))[1:], ids=str)
@pytest.mark.parametrize(("modulated", "groups"), [(False, 1), (True, 1), (True, 2)])
def test_names_and_shapes(on, modulated, groups):
    arguments = {
        **GROUPED,
        "norm": "BN",
        "deform_on_per_stage": list(on),
        "deform_modulated": modulated,
        "deform_num_groups": groups,
    }
    with torch.device("meta"):
        ours, theirs = ResNet(out_features=FEATURES, **arguments), build_reference(**arguments)
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in (ours, theirs)]
    assert list(shapes[0]) == list(shapes[1])
    assert shapes[0] == shapes[1]
