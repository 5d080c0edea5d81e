"""Deformable convolution: a slow reference, gradients, and where it may stand in a network."""

import copy
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resnext_det import build_backbone, build_classifier
from resnext_det.errors import UserError
from resnext_det.modeling import ResNet, convert_form
from resnext_det.modeling.blocks import BottleneckBlock
from resnext_det.modeling.complexity import measure_complexity
from resnext_det.modeling.conv import DeformConv2d
from resnext_det.modeling.deform import DeformBottleneckBlock
from resnext_det.modeling.norms import FrozenBatchNorm2d

SMALL = {
    "depth": 26,
    "num_groups": 8,
    "width_per_group": 4,
    "stem_out_channels": 32,
    "res2_out_channels": 32,
}
ON = [False, True, True, True]
VERSIONS = [(False, 1), (False, 2), (True, 1), (True, 2)]  # modulated, deformable groups


def slow_deformable(
    x: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, stride: int, dilation: int
) -> Tensor:
    """arXiv 1703.06211, Eq. 2, 1811.11168, Eq. 1, one number at a time; 3x3, "same" padding."""
    images, channels = x.shape[:2]
    deform_groups = offset.shape[1] // 18
    per_group, per_deform = weight.shape[1], channels // deform_groups
    out = torch.zeros(images, weight.shape[0], *offset.shape[-2:], dtype=x.dtype)
    for n, o, row, column in itertools.product(*map(range, out.shape)):
        first = o // (weight.shape[0] * per_group // channels) * per_group
        for k, tap in itertools.product(range(per_group), range(9)):
            c, (i, j) = first + k, divmod(tap, 3)
            g = c // per_deform
            dy, dx = offset[n, g * 18 + 2 * tap : g * 18 + 2 * tap + 2, row, column].tolist()
            value = bilinear(
                x[n, c],
                row * stride + (i - 1) * dilation + dy,
                column * stride + (j - 1) * dilation + dx,
            )
            factor = 1.0 if mask is None else mask[n, g * 9 + tap, row, column]
            out[n, o, row, column] += weight[o, k, i, j] * value * factor
    return out


def bilinear(channel: Tensor, y: float, x: float) -> float:
    """Interpolates one map of zeros outside the image."""
    total = 0.0
    for row, column in itertools.product(
        (math.floor(y), math.floor(y) + 1), (math.floor(x), math.floor(x) + 1)
    ):
        if 0 <= row < channel.shape[0] and 0 <= column < channel.shape[1]:
            share = max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(x - column))
            total += share * channel[row, column].item()
    return total


@pytest.mark.parametrize(("modulated", "groups"), VERSIONS)
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_the_block_is_the_formula(modulated, groups, stride, dilation):
    block = DeformBottleneckBlock(
        *(8, 8),
        bottleneck_channels=8,
        num_groups=2,
        stride=stride,
        dilation=dilation,
        norm="",
        deform_modulated=modulated,
        deform_num_groups=groups,
    ).double()
    disturb_offsets(block, 0.5)
    x = torch.randn(2, 8, 5, 6, dtype=torch.double)
    inner = block.conv1(x).relu()
    raw = F.conv2d(
        inner,
        block.conv2_offset.weight,
        block.conv2_offset.bias,
        stride=stride,
        padding=dilation,
        dilation=dilation,
    )
    assert raw.shape[1] == groups * (27 if modulated else 18)
    offset, mask = raw[:, : 18 * groups], None
    if modulated:
        mask = 1 / (1 + torch.exp(-raw[:, 18 * groups :]))
    expected = slow_deformable(inner, block.conv2.weight, offset, mask, stride, dilation)
    torch.testing.assert_close(block.transform(x), block.conv3(expected.relu()))


def disturb_offsets(network: torch.nn.Module, scale: float) -> None:
    """Moves the taps by some tenths of a pixel, and by whole ones, off their start at zero."""
    for name, parameter in network.named_parameters():
        if "conv2_offset" in name:
            torch.nn.init.normal_(parameter, std=scale if name.endswith("bias") else 0.1 * scale)


@pytest.mark.parametrize(("modulated", "groups"), VERSIONS)
@pytest.mark.parametrize("stride_in_1x1", [False, True])
def test_it_starts_as_the_plain_block(modulated, groups, stride_in_1x1):
    """Version 2's masks start at 1/2, so its response is half as large."""
    arguments = {
        "bottleneck_channels": 16,
        "num_groups": 4,
        "stride": 2,
        "stride_in_1x1": stride_in_1x1,
        "norm": "",
    }
    block = DeformBottleneckBlock(
        16, 32, deform_modulated=modulated, deform_num_groups=groups, **arguments
    )
    plain = BottleneckBlock(16, 32, **arguments)
    assert not any(p.any() for p in block.conv2_offset.parameters())
    missing = plain.load_state_dict(block.state_dict(), strict=False)
    assert sorted(missing.unexpected_keys) == ["conv2_offset.bias", "conv2_offset.weight"]
    assert not missing.missing_keys
    if modulated:
        plain.conv2.weight.data /= 2
    x = torch.randn(2, 16, 9, 8)
    torch.testing.assert_close(block(x), plain(x), rtol=1e-5, atol=1e-5)


def test_without_offsets_it_is_a_convolution():
    conv = DeformConv2d(4, 6, 3, groups=2)
    x = torch.randn(1, 4, 5, 5)
    assert torch.equal(conv(x), F.conv2d(x, conv.weight, padding=1, groups=2))


@pytest.mark.parametrize(("modulated", "groups"), VERSIONS)
def test_gradients(modulated, groups):
    """Of the weight, the images, the offsets and the masks, against finite differences."""
    conv = DeformConv2d(4, 4, 3, groups=2).double()
    x = torch.randn(2, 4, 4, 3, dtype=torch.double, requires_grad=True)
    offset = torch.empty(2, 18 * groups, 4, 3, dtype=torch.double).uniform_(0.2, 0.8)
    inputs = [conv.weight.detach().requires_grad_(), x, offset.requires_grad_()]
    if modulated:
        mask = torch.rand(2, 9 * groups, 4, 3, dtype=torch.double)
        inputs.append(mask.requires_grad_())

    def run(weight: Tensor, *others: Tensor) -> Tensor:
        return torch.func.functional_call(conv, {"weight": weight}, others)

    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("modulated", [False, True])
def test_every_parameter_is_trained(modulated):
    network = ResNet(norm="BN", deform_on_per_stage=ON, deform_modulated=modulated, **SMALL)
    outputs = network.train()(torch.randn(2, 3, 64, 64))
    sum(value.square().mean() for value in outputs.values()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_the_stages_asked_for_are_deformable_alone():
    network = ResNet(deform_on_per_stage=[True, False, False, True], **SMALL)
    kinds = [{type(block) for block in stage} for stage in network.stages()]
    plain, deformable = {BottleneckBlock}, {DeformBottleneckBlock}
    assert kinds == [deformable, plain, plain, deformable]
    frozen = ResNet(norm="BN", freeze_at=2, deform_on_per_stage=[True, *[False] * 3], **SMALL)
    assert not any(p.requires_grad for p in frozen.res2.parameters())
    assert isinstance(frozen.res2[0].conv2.norm, FrozenBatchNorm2d)


@pytest.mark.parametrize("modulated", [False, True])
def test_meta_build_and_round_trip(modulated):
    arguments = {"deform_on_per_stage": ON, "deform_modulated": modulated, **SMALL}
    source = ResNet(**arguments)
    disturb_offsets(source, 1.0)
    with torch.device("meta"):
        copied = ResNet(**arguments)
    outputs = copied(torch.empty(2, 3, 64, 64, device="meta"))
    assert outputs["res5"].shape == (2, 256, 2, 2)
    copied.load_state_dict(source.state_dict(), assign=True)
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(copied(images), source(images), rtol=0, atol=0)


@pytest.mark.parametrize("modulated", [False, True])
def test_no_images_give_empty_features(modulated):
    network = ResNet(deform_on_per_stage=ON, deform_modulated=modulated, **SMALL)
    images = torch.zeros(0, 3, 64, 64, requires_grad=True)
    outputs = network(images)
    assert outputs["res5"].shape == (0, 256, 2, 2)
    sum(value.sum() for value in outputs.values()).backward()
    assert images.grad.shape == images.shape


def test_bfloat16_computes_in_float32():
    """Neither autocast nor a network of bfloat16 has a kernel of its own on a CPU."""
    network = ResNet(deform_on_per_stage=ON, deform_modulated=True, **SMALL)
    disturb_offsets(network, 0.5)
    images = torch.randn(2, 3, 64, 64)
    expected = network(images)["res5"]
    with torch.autocast("cpu", torch.bfloat16):
        automatic = network(images)["res5"]
    automatic.float().mean().backward()
    whole = copy.deepcopy(network).bfloat16()(images.bfloat16())["res5"]
    for found in (automatic, whole):
        assert found.dtype == torch.bfloat16
        assert (found - expected).abs().max() < 0.1 * expected.abs().max()


def test_activation_checkpointing_gives_the_same_gradients():
    plain = ResNet(norm="BN", deform_on_per_stage=ON, deform_modulated=True, **SMALL).train()
    saving = copy.deepcopy(plain)
    saving.activation_checkpointing = True
    images = torch.randn(2, 3, 64, 64)
    for network in (plain, saving):
        network(images)["res5"].square().mean().backward()
    for (key, ours), theirs in zip(saving.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad), key


def test_zero_initialisation():
    network = ResNet(norm="BN", zero_init_residual=True, deform_on_per_stage=ON, **SMALL).eval()
    x = torch.randn(1, 64, 8, 8)
    assert torch.equal(network.res3[1](x), x.relu())


@pytest.mark.parametrize("modulated", [False, True])
def test_complexity_counts_the_convolution_and_its_offsets(modulated):
    """In res5 of a 64-pixel image: two blocks at 2 x 2 cells, 256 channels in groups of 32."""
    arguments = {"deform_on_per_stage": [False] * 3 + [True], "deform_modulated": modulated}
    with torch.device("meta"):
        plain, deformable = ResNet(**SMALL), ResNet(**arguments, **SMALL)
    before, after = (measure_complexity(network, 64) for network in (plain, deformable))
    channels, width = (27 if modulated else 18), 8 * 32
    offsets = 2 * 9 * width * channels
    assert after.flops - before.flops == 4 * offsets
    assert after.activations - before.activations == 2 * 4 * channels
    assert after.params - before.params == offsets + 2 * channels


def test_variants_take_it():
    with torch.device("meta"):
        backbone = build_backbone("resnext50_32x4d", deform_on_per_stage=ON, deform_num_groups=4)
        classifier = build_classifier("resnext50_32x4d", 10, deform_on_per_stage=ON)
    assert backbone.res5[0].conv2_offset.weight.shape == (4 * 18, 1024, 3, 3)
    assert classifier.res4[0].conv2_offset.weight.shape == (18, 512, 3, 3)
    assert classifier(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 10)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"depth": 18, "deform_on_per_stage": ON}, "basic blocks, which are not deformable: set"),
        ({"depth": 29, "deform_on_per_stage": ON}, "depth 29 has no res5: set the last of deform"),
        ({"depth": 50, "deform_on_per_stage": [True]}, r"is \[True\]; it has one value for each"),
        (
            {"depth": 50, "deform_on_per_stage": ON, "block_form": "split"},
            "block_form 'split' has no deformable convolutions: set it to 'grouped'",
        ),
        (
            {"depth": 50, "deform_on_per_stage": ON, "deform_num_groups": 3},
            "128 bottleneck channels cannot be shared by 3 deformable groups",
        ),
        (
            {"depth": 50, "deform_on_per_stage": ON, "deform_num_groups": 0},
            "cannot be shared by 0 deformable groups; deform_num_groups must be at least 1",
        ),
    ],
)
def test_refusals_say_what_to_change(kwargs, message):
    with pytest.raises(UserError, match=message), torch.device("meta"):
        ResNet(**kwargs)


def test_three_stages_may_leave_the_fourth_out():
    with torch.device("meta"):
        network = ResNet(depth=29, deform_on_per_stage=[False, False, True, False])
    assert isinstance(network.res4[0], DeformBottleneckBlock)


def test_no_conversion_to_another_form():
    state = ResNet(deform_on_per_stage=ON, **SMALL).state_dict()
    with pytest.raises(UserError, match="one form only, 'grouped': res3.0.conv2_offset.weight"):
        convert_form(state, "grouped", "split", 8)
