"""Convolutions, norms and linear layers out of Torch7 modules, as float32 tensors. Engine-neutral.

Source: torch/nn, SpatialConvolution.lua and BatchNormalization.lua (read); soumith/cudnn.torch,
SpatialConvolution.lua.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from resnext_det.weights.naming.base import UnknownNames
from resnext_det.weights.readers.torch7_objects import Table, TorchObject

_CONV = re.compile(r"(?:nn|cudnn)\.SpatialConvolution(?:MM)?")
_NORM = re.compile(r"(?:nn|cudnn|fbnn)\.SpatialBatchNormalization")
_PACKAGES = ("nn", "cudnn", "fbnn")
_DEFAULT_EPS = 1e-5  # nn.BatchNormalization's


@dataclass(frozen=True)
class Step:
    """A module and where it stands.

    Attributes:
        path: in the file, for messages.
        module: the object.
        read: ids of the modules whose tensors have been taken; shared by a network's steps.
    """

    path: str
    module: TorchObject
    read: set[int] = field(default_factory=set, repr=False)

    @property
    def kind(self) -> str:
        """Its class without the package: "ReLU" for nn.ReLU and cudnn.ReLU."""
        package, _, name = self.module.class_name.partition(".")
        return name if package in _PACKAGES else self.module.class_name

    @property
    def is_conv(self) -> bool:
        """It is a convolution that we know."""
        return _CONV.fullmatch(self.module.class_name) is not None

    @property
    def is_norm(self) -> bool:
        """It is a BatchNorm that we know."""
        return _NORM.fullmatch(self.module.class_name) is not None

    def __str__(self) -> str:
        return f"{self.module.class_name} at {self.path or 'its root'}"

    def children(self) -> Iterator["Step"]:
        """Yields the modules in it, in their order."""
        modules = self.module.fields.get("modules")
        modules = modules if isinstance(modules, Table) else Table()
        for number in range(1, len(modules) + 1):
            child = modules.get(number)
            if not isinstance(child, TorchObject):
                raise UnknownNames(f"{self} with no module {number}")
            yield Step(f"{self.path}.modules.{number}".removeprefix("."), child, self.read)

    def read_once(self) -> None:
        """Refuses a module that stands in two places; no ResNet shares one.

        A few bytes could repeat it millions of times, each with tensors of its own here.
        """
        if id(self.module) in self.read:
            raise UnknownNames(f"{self} that stands in two places")
        self.read.add(id(self.module))

    def number(self, name: str, default: int | None = None) -> int:
        """Returns a field that is a whole number from 0 up."""
        value = self.module.fields.get(name, default)
        # isinstance first: it may be anything; a float may be infinite, and that is no integer.
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value < 2**31 or value != int(value):
            raise UnknownNames(f"{self} with {name} {str(value)[:20]}")
        return int(value)

    def tensor(self, name: str, numel: int | None = None) -> Tensor | None:
        """Returns a field as float32, None where the field is absent or empty.

        Raises:
            UnknownNames: it is no tensor of real numbers, or has not `numel` of them.
        """
        value = self.module.fields.get(name)
        if value is None or (isinstance(value, Tensor) and not value.numel()):
            return None
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise UnknownNames(f"{self} whose {name} holds no real numbers")
        if numel is not None and value.numel() != numel:
            raise UnknownNames(f"{self} with {value.numel()} numbers as {name}, not {numel}")
        return value.to(torch.float32).contiguous()


@dataclass(frozen=True)
class Conv:
    """A convolution, square in all it has.

    Attributes:
        weight: (out, in / groups, kernel, kernel) float32.
        bias: (out,), None where it is absent or all 0.
        stride: of both axes.
        groups: of channels.
    """

    weight: Tensor
    bias: Tensor | None
    stride: int
    groups: int

    @property
    def kernel(self) -> int:
        """Side of the kernel."""
        return self.weight.shape[2]

    @property
    def in_channels(self) -> int:
        """Channels of its input."""
        return self.weight.shape[1] * self.groups

    @property
    def out_channels(self) -> int:
        """Channels of its output."""
        return self.weight.shape[0]


@dataclass(frozen=True)
class Norm:
    """A BatchNorm.

    Attributes:
        weight, bias, mean, var: (channels,) float32.
        eps: what is added to var.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    var: Tensor
    eps: float


def conv_of(step: Step) -> Conv:
    """Reads a convolution, of 4 dimensions or 2 as SpatialConvolutionMM and old files have it.

    Raises:
        UnknownNames: it is no convolution, not square, or not padded to keep its input's size.
    """
    if not step.is_conv:
        raise UnknownNames(f"{step} where a convolution is expected")
    step.read_once()
    kernel, stride = step.number("kW"), step.number("dW", 1)
    padding = step.number("padding", 0) or step.number("padW", 0)
    square = {step.number("kH"), kernel} == {kernel} and step.number("dH", 1) == stride
    if not square or step.number("padH", padding) != padding:
        raise UnknownNames(f"{step} that is not square")
    if not kernel or not stride or padding != (kernel - 1) // 2:
        raise UnknownNames(f"{step} of kernel {kernel}, stride {stride} and padding {padding}")
    outputs, inputs = step.number("nOutputPlane"), step.number("nInputPlane")
    groups = step.number("groups", 1)
    if not groups or inputs % groups or outputs % groups:
        raise UnknownNames(f"{step} of {inputs} and {outputs} channels in {groups} groups")
    shape = (outputs, inputs // groups, kernel, kernel)
    weight = step.tensor("weight", outputs * (inputs // groups) * kernel**2)
    if weight is None:
        raise UnknownNames(f"{step} without weights")
    bias = step.tensor("bias", outputs)
    bias = None if bias is None or not bias.any() else bias.reshape(-1)
    return Conv(weight.reshape(shape), bias, stride, groups)


def norm_of(step: Step, channels: int) -> Norm:
    """Reads a BatchNorm; `running_std` of old files is 1 / sqrt(var + eps).

    Raises:
        UnknownNames: it is none, or of another width.
    """
    if not step.is_norm:
        raise UnknownNames(f"{step} where a norm is expected")
    step.read_once()
    eps = step.module.fields.get("eps", _DEFAULT_EPS)
    if not isinstance(eps, int | float) or not 0 <= eps < 1:
        raise UnknownNames(f"{step} with eps {str(eps)[:20]}")
    mean, var = step.tensor("running_mean", channels), step.tensor("running_var", channels)
    inverse_std = step.tensor("running_std", channels)
    if var is None and inverse_std is not None:
        var = (inverse_std.double() ** -2 - eps).float()
    if mean is None or var is None:
        raise UnknownNames(f"{step} without statistics")
    weight, bias = step.tensor("weight", channels), step.tensor("bias", channels)
    weight = torch.ones(channels) if weight is None else weight
    bias = torch.zeros(channels) if bias is None else bias
    tensors = (tensor.reshape(-1) for tensor in (weight, bias, mean, var))
    return Norm(*tensors, eps=float(eps))
