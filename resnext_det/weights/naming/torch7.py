"""The authors' Torch7 networks, trees of nn modules, in our names. Engine-neutral.

They are what models/resnext.lua of facebookresearch/ResNeXt and models/resnet.lua of
facebook/fb.resnet.torch build. Sequentials are laid out in a row, so that it does not matter how
they nest; a stage begins where a block puts out more channels than the one before.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from resnext_det.weights.content import FileContent
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.naming.base import Naming, Renamed, UnknownNames
from resnext_det.weights.naming.torch7_blocks import Block, Layer, block_of, expect, flatten
from resnext_det.weights.naming.torch7_modules import Step, conv_of, norm_of
from resnext_det.weights.readers.torch7_objects import TorchObject
from resnext_det.weights.side_car import SideCar

# CIFAR pixels stay 0-255 there. Source: datasets/cifar10.lua and cifar100.lua (meanstd) of both.
_CIFAR = {
    10: Convention("RGB", (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    100: Convention("RGB", (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
}
_PARAMETERS = ("weight", "bias", "running_mean", "running_var", "running_std")
_POOLS = ("SpatialAveragePooling", "SpatialAdaptiveAveragePooling")


def _recognises(content: FileContent) -> bool:
    return content.container == "torch7" and isinstance(content.extras.get("tree"), TorchObject)


def _to_ours(content: FileContent) -> Renamed:
    tree = content.extras.get("tree")
    if not isinstance(tree, TorchObject):  # inspection asks for tensors one by one
        raise UnknownNames("tensors without the modules that they belong to")
    steps = flatten(Step("", tree))
    if len(steps) < 4:
        raise UnknownNames("none of their modules: it begins with " + _shown(steps))
    _check_memory(content)
    stem, steps, is_cifar = _read_stem(steps)
    blocks, steps = _read_blocks(steps)
    linear, notes = _read_head(steps, blocks[-1].out_channels)
    stages = _part_into_stages(blocks)
    _check_chain(stem, blocks)
    layers = {"stem.conv1": stem}
    for number, stage in enumerate(stages, start=2):
        for place, block in enumerate(stage):
            layers |= _name_block(block, f"res{number}.{place}")
    layers, eps, more = _settle(layers)
    state = {key: value for name, layer in layers.items() for key, value in _tensors(name, layer)}
    convention = _convention(linear, stride_in_1x1=_stride_in_1x1(stages), is_cifar=is_cifar)
    side_car = SideCar(naming="torch7", convention=convention, norm="BN", norm_eps=eps)
    form = (
        f"form (b) of {blocks[0].concatenated} paths is merged into grouped convolutions, exactly"
    )
    notes += more + ([form] if blocks[0].concatenated else [])
    return Renamed(state | linear, side_car, tuple(notes))


def _check_memory(content: FileContent) -> None:
    """Refuses weights that overlap in one storage: as float32 copies they could fill any memory."""
    used = [t for key, t in content.tensors.items() if key.rpartition(".")[2] in _PARAMETERS]
    held = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in used}
    if sum(t.numel() * t.element_size() for t in used) > 2 * sum(held.values()):
        raise UnknownNames("weights that overlap in memory")


def _read_stem(steps: Sequence[Step]) -> tuple[Layer, Sequence[Step], bool]:
    """Reads convolution, norm, ReLU and, for ImageNet, the pooling; returns what follows."""
    if not steps[1].is_norm:
        raise UnknownNames(f"{steps[1]} where a norm is expected (pre-activation, or no ResNet)")
    conv = conv_of(steps[0])
    layer = Layer(conv, norm_of(steps[1], conv.out_channels))
    expect(steps[2], "ReLU")
    if conv.in_channels != 3 or conv.groups != 1:
        raise UnknownNames(f"{steps[0]} of {conv.in_channels} input channels")
    if (conv.kernel, conv.stride) == (3, 1):
        return layer, steps[3:], True
    pool = steps[3]
    expect(pool, "SpatialMaxPooling")
    window = [pool.number(name, 0) for name in ("kW", "kH", "dW", "dH", "padW", "padH")]
    if window != [3, 3, 2, 2, 1, 1] or pool.module.fields.get("ceil_mode") is True:
        raise UnknownNames(f"{pool} other than 3x3 of stride 2 and padding 1, rounded down")
    if (conv.kernel, conv.stride) != (7, 2):
        raise UnknownNames(f"{steps[0]} of kernel {conv.kernel} and stride {conv.stride}")
    return layer, steps[4:], False


def _read_blocks(steps: Sequence[Step]) -> tuple[list[Block], Sequence[Step]]:
    """Reads ConcatTable, CAddTable, ReLU as often as they come; returns what follows."""
    blocks: list[Block] = []
    while steps and steps[0].kind == "ConcatTable":
        _check_ending(steps)
        blocks.append(block_of(steps[0]))
        steps = steps[3:]
    if not blocks:
        raise UnknownNames(f"{_shown(steps)} where a residual block is expected")
    if any(block.concatenated != blocks[0].concatenated for block in blocks):
        raise UnknownNames("blocks of form (b) and of other forms in one network")
    return blocks, steps


def _check_ending(steps: Sequence[Step]) -> None:
    if len(steps) < 3:
        raise UnknownNames(f"{steps[0]} at its end")
    expect(steps[1], "CAddTable")
    if steps[2].is_norm and any(p and p[0].is_norm for p in map(flatten, steps[0].children())):
        block_of(steps[0])  # says that it is pre-activation
    if steps[2].is_norm:
        raise UnknownNames(
            f"a norm after the addition, {steps[2]}, as fb.resnet.torch's published ResNet-50 and "
            "pre-activation networks have it; these blocks add after their norms"
        )
    if steps[2].kind == "ConcatTable" or steps[2].kind in _POOLS:
        raise UnknownNames(f"pre-activation: no ReLU between the addition and {steps[2]}")
    expect(steps[2], "ReLU")


def _read_head(steps: Sequence[Step], channels: int) -> tuple[dict[str, Tensor], list[str]]:
    """Reads pooling, view and linear layer; a network may end before them."""
    rest, notes = list(steps), []
    if rest and rest[0].kind in _POOLS:
        rest.pop(0)
    if rest and rest[0].kind in ("View", "Reshape"):
        rest.pop(0)
    if not rest:
        return {}, ["it has no linear layer"]
    head = rest.pop(0)
    expect(head, "Linear")
    if rest and rest[0].kind in ("LogSoftMax", "SoftMax"):
        notes.append(f"{rest.pop(0)} behind the logits is left out")
    if rest:
        raise UnknownNames(f"{rest[0]} behind its linear layer")
    weight = head.tensor("weight")
    if weight is None or weight.dim() != 2 or weight.shape[1] != channels:
        raise UnknownNames(f"{head} that does not fit {channels} channels")
    bias = head.tensor("bias", weight.shape[0])
    bias = torch.zeros(weight.shape[0]) if bias is None else bias.reshape(-1)
    return {"linear.weight": weight, "linear.bias": bias}, notes


def _part_into_stages(blocks: Sequence[Block]) -> list[list[Block]]:
    stages: list[list[Block]] = []
    for block in blocks:
        if not stages or block.out_channels != stages[-1][-1].out_channels:
            stages.append([])
        stages[-1].append(block)
        expected = 2 if len(stages) > 1 and len(stages[-1]) == 1 else 1
        if block.stride != expected or len(block.layers) != len(blocks[0].layers):
            number = sum(map(len, stages))
            raise UnknownNames(f"a block (number {number}) of stride {block.stride} in its stage")
    if len(stages) > 4:
        raise UnknownNames(f"{len(stages)} stages")
    return stages


def _check_chain(stem: Layer, blocks: Sequence[Block]) -> None:
    channels = stem.conv.out_channels
    for number, block in enumerate(blocks, start=1):
        if block.layers[0].conv.in_channels != channels:
            raise UnknownNames(f"a block (number {number}) that does not fit the one before")
        channels = block.out_channels


def _name_block(block: Block, name: str) -> dict[str, Layer]:
    layers = {f"{name}.conv{i}": layer for i, layer in enumerate(block.layers, start=1)}
    return layers if block.shortcut is None else {f"{name}.shortcut": block.shortcut} | layers


def _settle(layers: dict[str, Layer]) -> tuple[dict[str, Layer], float, list[str]]:
    """Moves biases into the norms behind them and gives all norms one eps; outputs stay equal.

    BatchNorm subtracts its mean: (x + b) - mean = x - (mean - b). It adds eps to its variance:
    var + e = (var + e - eps) + eps, with the smallest eps so that no variance gets negative.
    """
    eps = min(layer.norm.eps for layer in layers.values())
    settled, folded, shifted = {}, 0, 0
    for name, layer in layers.items():
        conv, norm = layer.conv, layer.norm
        if conv.bias is not None:
            norm = replace(norm, mean=norm.mean - conv.bias)
            conv, folded = replace(conv, bias=None), folded + 1
        if norm.eps != eps:
            norm, shifted = replace(norm, var=norm.var + (norm.eps - eps), eps=eps), shifted + 1
        settled[name] = Layer(conv, norm)
    notes = [f"the biases of {folded} convolutions are moved into their norms"] if folded else []
    notes += [f"the eps of {shifted} norms is moved into their variances"] if shifted else []
    return settled, eps, notes


def _tensors(name: str, layer: Layer) -> list[tuple[str, Tensor]]:
    norm = layer.norm
    return [
        (f"{name}.weight", layer.conv.weight),
        (f"{name}.norm.weight", norm.weight),
        (f"{name}.norm.bias", norm.bias),
        (f"{name}.norm.running_mean", norm.mean),
        (f"{name}.norm.running_var", norm.var),
    ]


def _stride_in_1x1(stages: Sequence[Sequence[Block]]) -> bool:
    """Tells where bottlenecks stride; it is one place for all."""
    places = {
        layer.conv.kernel for stage in stages for layer in stage[0].layers if layer.conv.stride == 2
    }
    if len(places) > 1:
        raise UnknownNames("strides in the 1x1 of one stage and in the 3x3 of another")
    return places == {1}


def _convention(
    linear: dict[str, Tensor], *, stride_in_1x1: bool, is_cifar: bool
) -> Convention | None:
    """ImageNet's or CIFAR's by the stem, CIFAR-10's or -100's by the number of classes."""
    classes = len(linear["linear.bias"]) if linear else 0
    known = _CIFAR.get(classes) if is_cifar else torchvision_convention()
    return known and replace(known, stride_in_1x1=stride_in_1x1)


def _shown(steps: Sequence[Step]) -> str:
    return ", ".join(str(step) for step in steps[:2]) or "no module"


TORCH7 = Naming(name="torch7", recognises=_recognises, to_ours=_to_ours)
