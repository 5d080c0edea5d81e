"""The detector's convolutions: a norm, or a bias where there is none. Portable."""

import torch
from torch import nn

from resnext_det.modeling.conv import Conv2d
from resnext_det.modeling.norms import build_norm


def build_conv(in_channels: int, out_channels: int, kernel_size: int, norm: str = "") -> Conv2d:
    """A "same" convolution of stride 1 as FPN and the box head use them.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd.
        norm: name of the normalisation; with "" the convolution has a bias, starting at 0.

    Raises:
        UserError: the norm is unknown or does not fit the channels.
    """
    norm_layer = build_norm(norm, out_channels)
    conv = Conv2d(in_channels, out_channels, kernel_size, norm=norm_layer)
    if norm_layer is None:
        conv.bias = nn.Parameter(torch.zeros(out_channels))
    return conv
