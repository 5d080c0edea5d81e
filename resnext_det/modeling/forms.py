"""Forms (a) and (b) of the ResNeXt block, and conversion between the three. Engine-neutral.

Paper, Figure 3: (a) C paths summed, (b) C paths concatenated early, (c) grouped convolution,
which is `blocks.BottleneckBlock`. They compute the same function. In form (a) the last norm
follows the sum (paper, Section 4, footnote).
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnext_det.errors import UserError
from resnext_det.modeling.blocks import ResidualBlock, check_width
from resnext_det.modeling.conv import Conv2d, msra_fill
from resnext_det.modeling.norms import GN_GROUPS, build_norm

FORMS = ("grouped", "split", "concat")


class _Path(nn.Module):
    """1x1, norm, ReLU, 3x3, norm, ReLU at width d: one of the C paths.

    With `out_channels`, a last 1x1 without norm follows, as form (a) needs.
    """

    conv3: Conv2d | None

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        strides: tuple[int, int],
        dilation: int,
        norm: str,
        gn_groups: int,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        first, second = (build_norm(norm, width, gn_groups) for _ in range(2))
        self.conv1 = Conv2d(in_channels, width, 1, stride=strides[0], norm=first)
        self.conv2 = Conv2d(width, width, 3, stride=strides[1], dilation=dilation, norm=second)
        self.conv3 = None if out_channels is None else Conv2d(width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, d or out_channels, H / stride, W / stride)."""
        x = F.relu_(self.conv2(F.relu_(self.conv1(x))))
        return x if self.conv3 is None else self.conv3(x)


class _PathBlock(ResidualBlock):
    """What forms (a) and (b) share: C paths. Takes the arguments of `BottleneckBlock`."""

    ends_in_1x1: bool

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bottleneck_channels: int,
        num_groups: int = 1,
        stride: int = 1,
        stride_in_1x1: bool = False,
        dilation: int = 1,
        norm: str = "FrozenBN",
        residual: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, stride=stride, norm=norm, residual=residual)
        check_width(bottleneck_channels, num_groups)
        if norm == "GN" and GN_GROUPS % num_groups:
            raise UserError(
                f"norm GN with {num_groups} paths would normalise across paths: num_groups must "
                f"divide {GN_GROUPS}, or use block_form 'grouped'"
            )
        self.paths = nn.ModuleList(
            _Path(
                in_channels,
                bottleneck_channels // num_groups,
                strides=(stride, 1) if stride_in_1x1 else (1, stride),
                dilation=dilation,
                norm=norm,
                gn_groups=GN_GROUPS // num_groups,
                out_channels=out_channels if self.ends_in_1x1 else None,
            )
            for _ in range(num_groups)
        )
        # Form (c)'s fan-out, so that all three start from one distribution.
        fan_outs = {"conv1": bottleneck_channels, "conv2": 9 * bottleneck_channels}
        for name, module in self.paths.named_modules():
            if isinstance(module, Conv2d):
                msra_fill(module, fan_outs.get(name.split(".")[-1], out_channels))


class SplitBottleneck(_PathBlock):
    """Form (a): C paths of 1x1, 3x3, 1x1, summed, then norm.

    Parameters: `paths.{i}.conv1…conv3`, `norm.*`, `shortcut.*`.
    """

    ends_in_1x1 = True

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        """Builds the block from the arguments of `BottleneckBlock`."""
        super().__init__(in_channels, out_channels, **kwargs)
        self.norm = build_norm(kwargs.get("norm", "FrozenBN"), out_channels)
        self._initialise()

    @property
    def last_norm(self) -> nn.Module | None:
        """The norm after the sum."""
        return self.norm

    def transform(self, x: Tensor) -> Tensor:
        """Sums the paths: (N, in, H, W) to (N, out, H / stride, W / stride)."""
        out = self.paths[0](x)
        for path in self.paths[1:]:
            out += path(x)
        return out if self.norm is None else self.norm(out)


class ConcatBottleneck(_PathBlock):
    """Form (b): C paths of 1x1, 3x3, concatenated, then 1x1 and norm.

    Parameters: `paths.{i}.conv1…conv2`, `conv3.*`, `shortcut.*`.
    """

    ends_in_1x1 = False

    def __init__(
        self, in_channels: int, out_channels: int, *, bottleneck_channels: int, **kwargs: Any
    ) -> None:
        """Builds the block from the arguments of `BottleneckBlock`."""
        super().__init__(
            in_channels, out_channels, bottleneck_channels=bottleneck_channels, **kwargs
        )
        norm = build_norm(kwargs.get("norm", "FrozenBN"), out_channels)
        self.conv3 = Conv2d(bottleneck_channels, out_channels, 1, norm=norm)
        self._initialise(self.conv3)

    @property
    def last_norm(self) -> nn.Module | None:
        """The norm of the last 1x1."""
        return self.conv3.norm

    def transform(self, x: Tensor) -> Tensor:
        """Concatenates the paths and projects: (N, in, H, W) to (N, out, H/s, W/s)."""
        return self.conv3(torch.cat([path(x) for path in self.paths], dim=1))


def convert_form(
    state_dict: Mapping[str, Tensor], from_form: str, to_form: str, num_groups: int
) -> dict[str, Tensor]:
    """Rewrites the weights of one block form for another; exact, no arithmetic.

    Args:
        state_dict: of one block, a backbone, a classifier or a detector; keys that belong to
            no bottleneck block pass through. Not changed.
        from_form: "grouped", "split" or "concat".
        to_form: the same.
        num_groups: cardinality C of the network.

    Raises:
        UserError: if a form is unknown, a block is deformable, or a width is no multiple of
            num_groups.
    """
    for form in (from_form, to_form):
        if form not in FORMS:
            raise UserError(f"unknown block form {form!r}: choose one of {', '.join(FORMS)}")
    if deformable := [key for key in state_dict if ".conv2_offset." in f".{key}"]:
        raise UserError(f"deformable blocks have one form only, 'grouped': {deformable[0]}")
    grouped = dict(state_dict) if from_form == "grouped" else _merge(state_dict, num_groups)
    return grouped if to_form == "grouped" else _split(grouped, to_form, num_groups)


_BLOCK = r"(?P<block>(?:(?:.*\.)?res\d\.\d+\.)?)"  # "" for the state dict of one block
_GROUPED_KEY = re.compile(_BLOCK + r"(?P<conv>conv[123])\.(?P<leaf>weight|norm\.\w+)")
_PATH_KEY = re.compile(_BLOCK + r"paths\.(?P<path>\d+)\.(?P<rest>conv[123]\..+)")
_SUM_NORM_KEY = re.compile(_BLOCK + r"norm\.(?P<leaf>\w+)")


def _merge(state_dict: Mapping[str, Tensor], num_groups: int) -> dict[str, Tensor]:
    """Forms (a) and (b) to form (c)."""
    merged: dict[str, Tensor] = {}
    for key, value in state_dict.items():
        if match := _PATH_KEY.fullmatch(key):
            block, rest = match["block"], match["rest"]
            if match["path"] == "0":
                parts = [state_dict[f"{block}paths.{i}.{rest}"] for i in range(num_groups)]
                axis = 1 if rest == "conv3.weight" else 0
                merged[block + rest] = torch.cat(parts, axis) if value.dim() else value
        elif match := _SUM_NORM_KEY.fullmatch(key):
            merged[f"{match['block']}conv3.norm.{match['leaf']}"] = value
        else:
            merged[key] = value
    return merged


def _split(grouped: Mapping[str, Tensor], form: str, num_groups: int) -> dict[str, Tensor]:
    """Form (c) to form (a) or (b)."""
    split: dict[str, Tensor] = {}
    for key, value in grouped.items():
        match = _GROUPED_KEY.fullmatch(key)
        if match is None or (match["conv"] == "conv3" and form == "concat"):
            split[key] = value
        elif match["conv"] == "conv3" and match["leaf"] != "weight":
            split[f"{match['block']}{match['leaf']}"] = value
        else:
            rest = f"{match['conv']}.{match['leaf']}"
            for i, part in enumerate(_parts(value, rest == "conv3.weight", num_groups)):
                split[f"{match['block']}paths.{i}.{rest}"] = part
    return split


def _parts(value: Tensor, by_input: bool, num_groups: int) -> tuple[Tensor, ...]:
    """Cuts a tensor into one piece per path; a scalar (a batch counter) is repeated."""
    if not value.dim():
        return (value,) * num_groups
    axis = 1 if by_input else 0
    check_width(value.shape[axis], num_groups)
    return tuple(piece.clone() for piece in value.chunk(num_groups, axis))
