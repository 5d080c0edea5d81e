"""Residual blocks out of Torch7's ConcatTables, in all forms of the authors' code. Engine-neutral.

Source: facebookresearch/ResNeXt, models/resnext.lua (resnet, resnext_B, resnext_C);
facebook/fb.resnet.torch, models/resnet.lua (basicblock, bottleneck) and models/preresnet.lua.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from resnext_det.weights.naming.base import UnknownNames
from resnext_det.weights.naming.torch7_modules import Conv, Norm, Step, conv_of, norm_of

_PASSING = ("Identity", "Copy", "Contiguous")


@dataclass(frozen=True)
class Layer:
    """A convolution with its norm."""

    conv: Conv
    norm: Norm


@dataclass(frozen=True)
class Block:
    """A residual block in the grouped form.

    Attributes:
        layers: two, or three of a bottleneck.
        shortcut: the projection, None for an identity.
        concatenated: number of paths that form (b) had, 0 for the other forms.
    """

    layers: tuple[Layer, ...]
    shortcut: Layer | None
    concatenated: int

    @property
    def out_channels(self) -> int:
        """Channels of its output."""
        return self.layers[-1].conv.out_channels

    @property
    def stride(self) -> int:
        """Of the whole block."""
        return max(layer.conv.stride for layer in self.layers)


def flatten(step: Step) -> list[Step]:
    """Lays Sequentials out in a row, without the modules that pass their input on.

    Raises:
        UnknownNames: a Sequential stands in two places, or contains itself.
    """
    flat: list[Step] = []
    seen: set[int] = set()
    waiting = [step]
    while waiting:
        step = waiting.pop()
        if step.kind == "Sequential":
            if id(step.module) in seen:
                raise UnknownNames(f"{step} that stands in two places")
            seen.add(id(step.module))
            waiting += reversed(list(step.children()))
        elif step.kind not in _PASSING:
            flat.append(step)
    return flat


def layers_of(steps: Sequence[Step], *, last_relu: bool = False) -> tuple[Layer, ...]:
    """Reads convolution, norm, ReLU, convolution, norm and so on.

    A path without any module gives no layers.

    Args:
        steps: flat.
        last_relu: a ReLU also ends it.

    Raises:
        UnknownNames: another module stands there.
    """
    layers = []
    for start in range(0, len(steps), 3):
        conv = conv_of(steps[start])
        if start + 1 >= len(steps):
            raise UnknownNames(f"{steps[start]} without a norm behind it")
        layers.append(Layer(conv, norm_of(steps[start + 1], conv.out_channels)))
        if start + 2 < len(steps):
            expect(steps[start + 2], "ReLU")
    if steps and (len(steps) % 3 == 0) != last_relu:
        raise UnknownNames(f"{steps[-1]} where {'a ReLU' if last_relu else 'no ReLU'} is expected")
    return tuple(layers)


def expect(step: Step, kind: str) -> None:
    """Raises UnknownNames where a module is of another class."""
    if step.kind != kind:
        raise UnknownNames(f"{step} where a {kind} is expected")


def block_of(table: Step) -> Block:
    """Reads a residual block.

    Args:
        table: the ConcatTable whose outputs are added.

    Raises:
        UnknownNames: pre-activation, a zero-padded shortcut (type A), a projection where nothing
            grows (type C), or another module than the authors' code has there.
    """
    children = list(table.children())
    if len(children) != 2:
        raise UnknownNames(f"{table} of {len(children)} branches")
    branch, shortcut = sorted(map(flatten, children), key=len, reverse=True)
    if not branch:
        raise UnknownNames(f"{table} of nothing but identities")
    if branch[0].is_norm:
        raise UnknownNames(
            f"pre-activation: {branch[0]} stands before its convolution; that network has another "
            "function than these blocks can compute"
        )
    concatenated = 0
    if branch[0].kind == "ConcatTable":
        layers, concatenated = _concatenated(branch)
    else:
        layers = layers_of(branch)
    block = Block(layers, _shortcut(shortcut), concatenated)
    _check(block, table)
    return block


def _shortcut(steps: Sequence[Step]) -> Layer | None:
    if not steps:
        return None
    if steps[0].kind == "SpatialAveragePooling":
        raise UnknownNames(
            f"a shortcut of type A: {steps[0]} pads with zeros where channels grow; only "
            "projections (type B) are read"
        )
    layers = layers_of(steps)
    if len(layers) != 1 or layers[0].conv.kernel != 1:
        raise UnknownNames(f"{steps[0]} in a shortcut, which is no 1x1 convolution")
    return layers[0]


def _check(block: Block, table: Step) -> None:
    kernels = tuple(layer.conv.kernel for layer in block.layers)
    if kernels not in ((3, 3), (1, 3, 1)):
        raise UnknownNames(f"{table} with kernels of {kernels}")
    before: Layer | None = None
    for layer in block.layers:
        if before is not None and layer.conv.in_channels != before.conv.out_channels:
            raise UnknownNames(f"{table} whose convolutions do not fit each other")
        before = layer
    strides = [layer.conv.stride for layer in block.layers]
    if strides[-1] != 1 or block.stride > 2 or strides.count(2) > 1:
        raise UnknownNames(f"{table} with strides of {tuple(strides)}")
    inputs = block.layers[0].conv.in_channels
    projects = block.shortcut is not None
    if block.shortcut is not None:
        conv = block.shortcut.conv
        if (conv.in_channels, conv.out_channels) != (inputs, block.out_channels):
            raise UnknownNames(f"{table} whose shortcut does not fit it")
        if conv.stride != block.stride or conv.groups != 1:
            raise UnknownNames(f"{table} whose shortcut has stride {conv.stride}")
    if projects and inputs == block.out_channels:
        raise UnknownNames(
            f"a shortcut of type C: {table} projects where channels do not grow; only type B is "
            "read"
        )
    if not projects and (inputs != block.out_channels or block.stride != 1):
        raise UnknownNames(f"{table} that grows without a projection")


def _concatenated(branch: Sequence[Step]) -> tuple[tuple[Layer, ...], int]:
    """Reads form (b), paths that are joined before the last 1x1, as one grouped convolution."""
    if len(branch) != 4:
        raise UnknownNames(f"{branch[0]} in a branch of {len(branch)} modules")
    expect(branch[1], "JoinTable")
    paths = [layers_of(flatten(path), last_relu=True) for path in branch[0].children()]
    if not paths or any(len(path) != 2 for path in paths):
        raise UnknownNames(f"{branch[0]} whose paths are not two convolutions each")
    merged = tuple(_merge([path[i] for path in paths], branch[0]) for i in range(2))
    first, second = merged
    grouped = Conv(second.conv.weight, second.conv.bias, second.conv.stride, len(paths))
    return (first, Layer(grouped, second.norm), *layers_of(branch[2:])), len(paths)


def _merge(layers: Sequence[Layer], where: Step) -> Layer:
    """Stacks equal layers of parallel paths along their outputs."""
    convs, norms = [layer.conv for layer in layers], [layer.norm for layer in layers]
    alike = {(conv.weight.shape, conv.stride, conv.groups) for conv in convs}
    if len(alike) > 1 or convs[0].groups != 1:
        raise UnknownNames(f"{where} whose paths differ")
    if len({norm.eps for norm in norms}) > 1:
        raise UnknownNames(f"{where} whose norms have several eps")
    bias = torch.cat([_bias(conv) for conv in convs]) if _any_bias(convs) else None
    conv = Conv(torch.cat([conv.weight for conv in convs]), bias, convs[0].stride, 1)
    fields = [torch.cat([getattr(n, name) for n in norms]) for name in _NORM_FIELDS]
    return Layer(conv, Norm(*fields, eps=norms[0].eps))


_NORM_FIELDS = ("weight", "bias", "mean", "var")


def _any_bias(convs: Sequence[Conv]) -> bool:
    return any(conv.bias is not None for conv in convs)


def _bias(conv: Conv) -> Tensor:
    return torch.zeros(conv.out_channels) if conv.bias is None else conv.bias
