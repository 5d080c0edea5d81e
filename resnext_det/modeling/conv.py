"""Convolutions with their normalisation as a child, and their initialisation. Engine-neutral."""

import math

import torch
from torch import Tensor, nn

from resnext_det.modeling.norms import FrozenBatchNorm2d


class Conv2d(nn.Conv2d):
    """Convolution, then a norm: parameters `weight`, `norm.*`, and `bias` where asked for.

    The layout of Detectron2's wrapper (detectron2/layers/wrappers.py), hence its names.

    Attributes:
        folds_norm: while training, a frozen norm is multiplied into the weight instead of into
            the map: the same numbers but for rounding, and the same gradients, with less memory
            to go through. Set by `fold_frozen_norms`.
    """

    norm: nn.Module | None
    folds_norm = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
        norm: nn.Module | None = None,
    ) -> None:
        """Builds the layer with "same" padding, dilation * (kernel_size // 2)."""
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            groups=groups,
            bias=bias,
        )
        self.norm = norm

    def forward(self, input: Tensor) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        if self.folds_norm and self._folds(input):
            assert isinstance(self.norm, FrozenBatchNorm2d)
            return self._folded(input, *self.norm.scale_and_shift())
        x = super().forward(input)
        return x if self.norm is None else self.norm(x)

    def _folds(self, x: Tensor) -> bool:
        # A GPU adds a convolution's bias in a pass of its own, and slowly; compiled code does not.
        quick = not x.is_cuda or torch.compiler.is_compiling()
        return self.training and quick and isinstance(self.norm, FrozenBatchNorm2d)

    def _folded(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        # norm(conv(x, w) + b) = conv(x, scale * w) + (shift + scale * b)
        bias = shift if self.bias is None else shift + self.bias * scale
        return self._conv_forward(x, self.weight * scale.reshape(-1, 1, 1, 1), bias)


class DeformConv2d(Conv2d):
    """Convolution whose taps look where offsets move them, then a norm; parameters as `Conv2d`.

    Deformable convolution (arXiv 1703.06211, Eq. 2), and version 2 with a mask (arXiv
    1811.11168, Eq. 1), by torchvision's operator, which has kernels for every device.
    """

    def forward(
        self, input: Tensor, offset: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride).

        Args:
            input: float, of any precision; below float32 it is computed in float32, for which
                alone there are kernels everywhere.
            offset: (N, G * 2 * k * k, H / stride, W / stride) in pixels of the input: for each
                of G deformable groups and each tap, row by row, dy then dx. None: all zero.
            mask: (N, G * k * k, H / stride, W / stride), what each tap is multiplied by. None:
                all one.
        """
        if offset is None:
            return super().forward(input)
        from torchvision.ops import deform_conv2d  # a second to import; few networks need it

        dtype = torch.promote_types(input.dtype, torch.float32)
        assert not isinstance(self.padding, str)
        out = deform_conv2d(
            input.to(dtype),
            offset.to(dtype),
            self.weight.to(dtype),
            stride=(self.stride[0], self.stride[1]),
            padding=(self.padding[0], self.padding[1]),
            dilation=(self.dilation[0], self.dilation[1]),
            mask=None if mask is None else mask.to(dtype),
        ).to(input.dtype)
        return out if self.norm is None else self.norm(out)


def fold_frozen_norms(model: nn.Module) -> None:
    """Lets the convolutions of a model fold their frozen norms while training; see `Conv2d`.

    Parameters, buffers and their names stay; in evaluation mode nothing changes.
    """
    for module in model.modules():
        if isinstance(module, Conv2d):
            module.folds_norm = True


def msra_fill(layer: nn.Conv2d, fan_out: int | None = None) -> None:
    """Draws the weight from normal(0, sqrt(2 / fan_out)) and sets a bias to zero.

    He et al. 2015 (arXiv 1502.01852), Eq. 14, with output connections; `c2_msra_fill` of fvcore.

    Args:
        layer: the convolution to fill.
        fan_out: k² · C_out. The default counts the layer's own channels; a path of a split
            block gives that of the whole grouped layer, to start from the same distribution.
    """
    if fan_out is None:
        fan_out = layer.weight[:, 0].numel()
    nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0) / math.sqrt(fan_out))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
