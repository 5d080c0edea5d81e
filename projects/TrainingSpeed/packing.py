"""Merging neighbouring groups of grouped convolutions into wider ones. Engine-neutral.

A group of 4 channels fills a small part of a tensor core's tile. p neighbouring groups are one
group of p times as many channels whose weight is block-diagonal: the same sums with zeros added, at
p times the multiply-adds. The weight is expanded in every step, so parameters, their names and
their gradients stay those of the grouped convolution.
"""

import math

import torch
from torch import Tensor, nn


def expand_weight(weight: Tensor, num_groups: int, pack: int) -> Tensor:
    """Writes a grouped convolution's weight as the block-diagonal one of p times fewer groups.

    Args:
        weight: (C_out, C_in / G, k, k).
        num_groups: G, a multiple of pack.
        pack: p.

    Returns:
        (C_out, p C_in / G, k, k).
    """
    outputs, inputs, *kernel = weight.shape
    blocks = weight.reshape(num_groups // pack, pack, outputs // num_groups, 1, inputs, *kernel)
    diagonal = torch.eye(pack, dtype=weight.dtype, device=weight.device)
    spread = blocks * diagonal.view(1, pack, 1, pack, 1, 1, 1)  # (G/p, p, C_out/G, p, C_in/G, k, k)
    return spread.reshape(outputs, pack * inputs, *kernel)


class PackedConv2d(nn.Module):
    """Computes what a grouped convolution computes, by fewer and wider groups.

    Args:
        conv: whose weight and bias it uses, and whose `norm`, where it has one, it applies.
        pack: groups to merge, a divisor of its groups.
    """

    def __init__(self, conv: nn.Conv2d, pack: int) -> None:
        super().__init__()
        assert conv.groups % pack == 0
        self.conv, self.pack = conv, pack

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C_in, H, W) to (N, C_out, H', W')."""
        conv = self.conv
        assert not isinstance(conv.padding, str)
        weight = expand_weight(conv.weight, conv.groups, self.pack)
        groups = conv.groups // self.pack
        out = nn.functional.conv2d(
            x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, groups
        )
        norm = getattr(conv, "norm", None)  # our convolutions hold their norm
        return out if norm is None else norm(out)


def pack_groups(model: nn.Module, pack: int) -> int:
    """Replaces a model's grouped convolutions, in place.

    Args:
        model: any; its parameters stay the same objects.
        pack: groups to merge; where a convolution's groups are no multiple of it, as many as
            divide both.

    Returns:
        How many convolutions were replaced.
    """
    found = [
        (parent, name, child)
        for parent in model.modules()
        if not isinstance(parent, PackedConv2d)
        for name, child in parent.named_children()
        if isinstance(child, nn.Conv2d) and math.gcd(child.groups, pack) > 1
    ]
    for parent, name, conv in found:
        setattr(parent, name, PackedConv2d(conv, math.gcd(conv.groups, pack)))
    return len(found)
