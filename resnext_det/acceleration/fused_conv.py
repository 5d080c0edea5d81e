"""Convolutions with what follows them: BatchNorm, a residual sum, ReLU. Engine-neutral."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnext_det.modeling.conv import Conv2d, DeformConv2d
from resnext_det.modeling.norms import FrozenBatchNorm2d

_FOLDABLE = (FrozenBatchNorm2d, nn.BatchNorm2d, nn.SyncBatchNorm)


def can_fold(conv: nn.Module) -> bool:
    """Tells whether a convolution and its norm are one convolution once training is over."""
    if not isinstance(conv, nn.Conv2d) or isinstance(conv, DeformConv2d):
        return False
    norm = conv.norm if isinstance(conv, Conv2d) else None
    if isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm) and norm.running_var is None:
        return False
    return norm is None or isinstance(norm, _FOLDABLE)


def folded(conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Folds a BatchNorm into the convolution before it, computing in float64.

    gamma (w x - mean) / sqrt(var + eps) + beta = (s w) x + (beta - s mean), s = gamma /
    sqrt(var + eps) (arXiv 1712.05877, section 3.2).

    Args:
        conv: one that `can_fold` takes, in evaluation mode.

    Returns:
        (O, I / groups, k, k) weight and (O,) bias, float32.
    """
    weight = conv.weight.detach().double()
    bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach().double()
    norm = conv.norm if isinstance(conv, Conv2d) else None
    if norm is not None:
        assert isinstance(norm, _FOLDABLE)
        assert isinstance(norm.running_var, Tensor)
        assert isinstance(norm.running_mean, Tensor)
        scale = (norm.running_var.double() + norm.eps).rsqrt()
        if norm.weight is not None:
            scale = scale * norm.weight.detach().double()
        weight = weight * scale.view(-1, 1, 1, 1)
        bias = (bias - norm.running_mean.double()) * scale
        if norm.bias is not None:
            bias = bias + norm.bias.detach().double()
    return weight.float(), bias.float()


def _has_onednn(dtype: torch.dtype) -> bool:
    return dtype != torch.float16 and torch.backends.mkldnn.is_available()


class FusedConv(nn.Module):
    """y = ReLU(conv(x) + residual), the norm being in the convolution.

    On the CPU it is one operation of oneDNN, the one that torch's own compiler emits, and on a GPU
    one of cuDNN where that has a kernel for it, which the first image tells; elsewhere a
    convolution and what is done in place with its result.

    Args:
        weight: (O, I / groups, k, k).
        bias: (O,).
        like: a convolution of the same stride, padding, dilation and groups.
        relu: whether ReLU follows.
        in_one: one operation where the device has it; False for code that torch compiles.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, like: nn.Conv2d, *, relu: bool, in_one: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.relu = relu
        self.in_one = in_one
        assert not isinstance(like.padding, str)
        self.stride, self.padding = list(like.stride), list(like.padding)
        self.dilation, self.groups = list(like.dilation), like.groups

    @classmethod
    def of(cls, conv: nn.Conv2d, *, relu: bool, in_one: bool = True) -> "FusedConv":
        """Folds a convolution that `can_fold` takes."""
        weight, bias = folded(conv)
        return cls(weight, bias, conv, relu=relu, in_one=in_one)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Maps (N, I, H, W) to (N, O, H / stride, W / stride).

        Args:
            x: of the weight's type.
            residual: (N, O, H / stride, W / stride), added before ReLU; stays as it is.
        """
        if self.in_one and x.device.type == "cuda" and self.relu:
            return self._by_cudnn(x, residual)
        if self.in_one and x.device.type == "cpu" and _has_onednn(x.dtype):
            return self._by_onednn(x, residual)
        return self._in_steps(x, residual)

    def _by_onednn(self, x: Tensor, residual: Tensor | None) -> Tensor:
        ops: Any = torch.ops.mkldnn
        place = (self.padding, self.stride, self.dilation, self.groups)
        if residual is None:
            then = "relu" if self.relu else "none"
            return ops._convolution_pointwise(x, self.weight, self.bias, *place, then, [], "")
        # Only there oneDNN sums; elsewhere torch would, by an operation that bfloat16 lacks.
        if x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
            return self._in_steps(x, residual)
        then = "relu" if self.relu else None
        return ops._convolution_pointwise.binary(
            x, residual, self.weight, self.bias, *place, "add", 1.0, then, [], ""
        )

    def _by_cudnn(self, x: Tensor, residual: Tensor | None) -> Tensor:
        place = (self.stride, self.padding, self.dilation, self.groups)
        try:
            if residual is None:
                return torch.cudnn_convolution_relu(x, self.weight, self.bias, *place)
            return torch.cudnn_convolution_add_relu(
                x, self.weight, residual, 1.0, self.bias, *place
            )
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # no kernel that does it in one for this shape, groups and precision
            self.in_one = False
            return self._in_steps(x, residual)

    def _in_steps(self, x: Tensor, residual: Tensor | None) -> Tensor:
        place = (self.stride, self.padding, self.dilation, self.groups)
        y = F.conv2d(x, self.weight, self.bias, *place)
        if residual is not None:
            y += residual
        return y.relu_() if self.relu else y
