"""A convolution with its normalisation as a child, and its initialisation. Engine-neutral."""

import math

from torch import Tensor, nn


class Conv2d(nn.Conv2d):
    """Convolution without bias, then a norm: parameters `weight` and `norm.*`.

    The layout of Detectron2's wrapper (detectron2/layers/wrappers.py), hence its names.
    """

    norm: nn.Module | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
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
            bias=False,
        )
        self.norm = norm

    def forward(self, input: Tensor) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        x = super().forward(input)
        return x if self.norm is None else self.norm(x)


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
