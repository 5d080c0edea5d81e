"""ResNet, FPN and the heads with fused convolutions. Portable."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnext_det.acceleration.fused_conv import FusedConv, can_fold
from resnext_det.engines.portable.box_head import BoxHead
from resnext_det.engines.portable.fpn import FPN
from resnext_det.engines.portable.rpn import RPNHead
from resnext_det.modeling.blocks import (
    BasicBlock,
    BottleneckBlock,
    CifarStem,
    CNNBlock,
    ImageNetStem,
)


class FusedStem(CNNBlock):
    """7x7 conv with ReLU, 3x3 max-pool; or 3x3 conv with ReLU."""

    def __init__(self, stem: ImageNetStem | CifarStem, *, in_one: bool) -> None:
        super().__init__(stem.in_channels, stem.out_channels, stem.stride)
        self.conv1 = FusedConv.of(stem.conv1, relu=True, in_one=in_one)
        self.pools = isinstance(stem, ImageNetStem)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 3, H, W) to (N, out_channels, H / stride, W / stride)."""
        x = self.conv1(x)
        return F.max_pool2d(x, kernel_size=3, stride=2, padding=1) if self.pools else x


class FusedBlock(CNNBlock):
    """A residual block, each of whose convolutions is one operation."""

    def __init__(self, block: BasicBlock | BottleneckBlock, *, in_one: bool) -> None:
        super().__init__(block.in_channels, block.out_channels, block.stride)
        convs = [FusedConv.of(conv, relu=True, in_one=in_one) for conv in _convs(block)]
        self.first = nn.Sequential(*convs[:-1])
        self.last = convs[-1]
        self.residual = block.residual
        self.shortcut = None
        if block.shortcut is not None:
            self.shortcut = FusedConv.of(block.shortcut, relu=False, in_one=in_one)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        y = self.first(x)
        if not self.residual:
            return self.last(y)
        return self.last(y, x if self.shortcut is None else self.shortcut(x))


def _convs(block: BasicBlock | BottleneckBlock) -> list[nn.Conv2d]:
    last = [block.conv3] if isinstance(block, BottleneckBlock) else []
    return [block.conv1, block.conv2, *last]


def fuse_backbone(network: nn.Module, *, in_one: bool) -> None:
    """Replaces stems and blocks below a module by fused ones; others stay as they are.

    Deformable blocks, the paper's forms (a) and (b), and blocks with GroupNorm are such others.
    """
    for name, child in network.named_children():
        fused = _fused(child, in_one=in_one)
        if fused is None:
            fuse_backbone(child, in_one=in_one)
        else:
            network.add_module(name, fused)


def _fused(part: nn.Module, *, in_one: bool) -> CNNBlock | None:
    if isinstance(part, ImageNetStem | CifarStem):
        return FusedStem(part, in_one=in_one) if can_fold(part.conv1) else None
    # A deformable block is a BottleneckBlock, too, with another convolution.
    if isinstance(part, BasicBlock | BottleneckBlock):
        shortcut = [] if part.shortcut is None else [part.shortcut]
        if all(map(can_fold, [*_convs(part), *shortcut])):
            return FusedBlock(part, in_one=in_one)
    return None


class FusedFPN(nn.Module):
    """`FPN` whose top-down sum is computed with the lateral convolution.

    Args:
        fpn: whose convolutions `can_fold` takes.
        in_one: see `FusedConv`.
    """

    def __init__(self, fpn: FPN, *, in_one: bool) -> None:
        super().__init__()
        self.in_features, self.levels = fpn.in_features, fpn.levels
        self.size_divisibility = fpn.size_divisibility
        self.bottom_up = fpn.bottom_up
        for kind in ("lateral", "output"):
            for level in self.levels:
                conv = fpn.get_submodule(f"fpn_{kind}{level}")
                assert isinstance(conv, nn.Conv2d)
                fused = FusedConv.of(conv, relu=False, in_one=in_one)
                if kind == "lateral" and fpn.fuse_type == "avg" and level != self.levels[-1]:
                    fused.weight.mul_(0.5)
                    fused.bias.mul_(0.5)
                self.add_module(f"fpn_{kind}{level}", fused)
        self.share = 0.5 if fpn.fuse_type == "avg" else 1.0

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Maps (N, 3, H, W) to {"p2": (N, C, H / 4, W / 4), …, "p6": …}, finest first."""
        maps = self.bottom_up(x)
        inner: Tensor | None = None
        outputs: dict[str, Tensor] = {}
        for level, name in zip(reversed(self.levels), reversed(self.in_features), strict=True):
            above = None if inner is None else self._widened(inner)
            inner = self.get_submodule(f"fpn_lateral{level}")(maps[name], above)
            outputs[f"p{level}"] = self.get_submodule(f"fpn_output{level}")(inner)
        top = self.levels[-1]
        pyramid = dict(reversed(outputs.items()))
        pyramid[f"p{top + 1}"] = F.max_pool2d(pyramid[f"p{top}"], kernel_size=1, stride=2)
        return pyramid

    def _widened(self, coarser: Tensor) -> Tensor:
        widened = F.interpolate(coarser, scale_factor=2.0, mode="nearest")
        return widened if self.share == 1.0 else widened * self.share


def fuse_fpn(fpn: FPN, *, in_one: bool) -> nn.Module:
    """Returns the fused pyramid, or the one given where its convolutions do not fold."""
    fuse_backbone(fpn.bottom_up, in_one=in_one)
    convs = [m for name, m in fpn.named_children() if name != "bottom_up"]
    return FusedFPN(fpn, in_one=in_one) if all(map(can_fold, convs)) else fpn


class FusedRPNHead(nn.Module):
    """`RPNHead` that computes logits and deltas with one 1x1 convolution."""

    def __init__(self, head: RPNHead, *, in_one: bool) -> None:
        super().__init__()
        convs = [m for m in head.conv.modules() if isinstance(m, nn.Conv2d)]
        self.conv = nn.Sequential(*(FusedConv.of(m, relu=True, in_one=in_one) for m in convs))
        (logits, logits_bias), (deltas, deltas_bias) = (
            (layer.weight.detach(), _bias(layer))
            for layer in (head.objectness_logits, head.anchor_deltas)
        )
        self.num_anchors = len(logits)
        weight, bias = torch.cat([logits, deltas]), torch.cat([logits_bias, deltas_bias])
        like = head.objectness_logits
        self.predictor = FusedConv(weight, bias, like, relu=False, in_one=in_one)

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Predicts for every anchor; see `RPNHead.forward`."""
        logits, deltas = [], []
        for feature in features:
            # (N, 5 A, H, W) -> (N, H, W, 5 A)
            predicted = self.predictor(self.conv(feature)).permute(0, 2, 3, 1)
            logits.append(predicted[..., : self.num_anchors].flatten(1))
            deltas.append(predicted[..., self.num_anchors :].reshape(len(feature), -1, 4))
        return logits, deltas


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias.detach()


class FusedBoxHead(nn.Module):
    """`BoxHead` on region features that are channels-last, or not.

    Args:
        head: whose convolutions `can_fold` takes.
        resolution: rows and columns of the region features.
        pixels_first: the features are channels-last, and so the first linear layer's weight
            takes them as they lie.
        in_one: see `FusedConv`.
    """

    def __init__(self, head: BoxHead, resolution: int, *, pixels_first: bool, in_one: bool) -> None:
        super().__init__()
        convs = [m for m in head if isinstance(m, nn.Conv2d)]
        self.convs = nn.Sequential(*(FusedConv.of(m, relu=True, in_one=in_one) for m in convs))
        self.linears = nn.ModuleList(m for m in head if isinstance(m, nn.Linear))
        self.pixels_first = pixels_first
        if pixels_first and len(self.linears):
            first = self.linears[0]
            assert isinstance(first, nn.Linear)
            # (O, C * P * P) -> (O, C, P * P) -> (O, P * P * C)
            weight = first.weight.detach().unflatten(1, (-1, resolution**2))
            first.weight = nn.Parameter(weight.transpose(1, 2).flatten(1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (R, C, P, P) to (R, D), or to (R, C', P, P) where there are no linear layers."""
        x = self.convs(x)
        if len(self.linears):
            x = (x.permute(0, 2, 3, 1) if self.pixels_first else x).flatten(1)
        for linear in self.linears:
            x = linear(x).relu_()
        return x
