"""Feature pyramid over a bottom-up network. Portable."""

import math
from collections.abc import Sequence
from typing import Protocol, cast

import torch.nn.functional as F
from torch import Tensor, nn

from resnext_det.engines.portable.conv import build_conv
from resnext_det.structures import ShapeSpec


class BottomUp(Protocol):
    """What the pyramid asks of the network below it, `resnext_det.modeling.ResNet` for one."""

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """Maps (N, 3, H, W) to feature maps by name."""
        ...

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and strides of those maps."""
        ...


class FPN(nn.Module):
    """Lateral 1x1 convs, a top-down sum, 3x3 output convs, and p6 as every second cell of p5.

    Feature Pyramid Networks (Lin et al. 2017) with Detectron2's names: `fpn_lateral2`,
    `fpn_output2`, … where the number is log2 of the stride. Weights start uniform in
    ±sqrt(3 / fan in), biases 0.

    Args:
        bottom_up: gives the feature maps.
        in_features: names of its maps to use, finest first, each stride twice the one before.
        out_channels: channels of every pyramid level.
        norm: normalisation after each conv, "" for none (then the convs have biases).
        fuse_type: "sum" or "avg" of the lateral and the top-down map.

    Raises:
        ValueError: a map is missing, strides do not double, or the fuse type is unknown.
    """

    def __init__(
        self,
        bottom_up: nn.Module,
        in_features: Sequence[str],
        out_channels: int = 256,
        *,
        norm: str = "",
        fuse_type: str = "sum",
    ) -> None:
        super().__init__()
        if fuse_type not in ("sum", "avg"):
            raise ValueError(f"fuse_type {fuse_type!r} is neither 'sum' nor 'avg'")
        shapes = _consecutive(cast(BottomUp, bottom_up).output_shape(), in_features)
        self.in_features = tuple(in_features)
        self.fuse_type = fuse_type
        self.out_channels = out_channels
        self.levels = tuple(int(math.log2(shape.stride)) for shape in shapes)
        self.bottom_up = bottom_up
        for level, shape in zip(self.levels, shapes, strict=True):
            lateral = build_conv(shape.channels, out_channels, 1, norm)
            output = build_conv(out_channels, out_channels, 3, norm)
            for conv in (lateral, output):
                nn.init.kaiming_uniform_(conv.weight, a=1)
            self.add_module(f"fpn_lateral{level}", lateral)
            self.add_module(f"fpn_output{level}", output)

    @property
    def size_divisibility(self) -> int:
        """Height and width of the input must be multiples of this, the coarsest stride."""
        return 2 ** self.levels[-1]

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and strides of p2 … p6 (as many as there are)."""
        levels = (*self.levels, self.levels[-1] + 1)
        return {f"p{level}": ShapeSpec(self.out_channels, 2**level) for level in levels}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Maps (N, 3, H, W) to {"p2": (N, C, H / 4, W / 4), …, "p6": …}, finest first."""
        maps = self.bottom_up(x)
        inner: Tensor | None = None
        outputs: dict[str, Tensor] = {}
        for level, name in zip(reversed(self.levels), reversed(self.in_features), strict=True):
            lateral = self.get_submodule(f"fpn_lateral{level}")(maps[name])
            inner = lateral if inner is None else self._fuse(lateral, inner)
            outputs[f"p{level}"] = self.get_submodule(f"fpn_output{level}")(inner)
        top = self.levels[-1]
        pyramid = dict(reversed(outputs.items()))
        pyramid[f"p{top + 1}"] = F.max_pool2d(pyramid[f"p{top}"], kernel_size=1, stride=2)
        return pyramid

    def _fuse(self, lateral: Tensor, coarser: Tensor) -> Tensor:
        total = lateral + F.interpolate(coarser, scale_factor=2.0, mode="nearest")
        return total / 2 if self.fuse_type == "avg" else total


def _consecutive(shapes: dict[str, ShapeSpec], names: Sequence[str]) -> list[ShapeSpec]:
    missing = [name for name in names if name not in shapes]
    if missing or not names:
        raise ValueError(f"FPN wants the maps {list(names)}; the backbone has {list(shapes)}")
    chosen = [shapes[name] for name in names]
    strides = [shape.stride for shape in chosen]
    if strides != [strides[0] * 2**k for k in range(len(strides))]:
        raise ValueError(f"FPN wants strides that double; {list(names)} have {strides}")
    return chosen
