"""Stems and residual blocks of ResNet and ResNeXt, form (c). Engine-neutral."""

from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from resnext_det.errors import UserError
from resnext_det.modeling.conv import Conv2d, msra_fill
from resnext_det.modeling.norms import build_norm, freeze_batch_norm


class CNNBlock(nn.Module):
    """A piece of the backbone that knows its channels and stride and can be frozen.

    Attributes:
        in_channels, out_channels: channels of the input and output maps.
        stride: input cells per output cell.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.stride = stride

    def freeze(self) -> Self:
        """Stops all training here: no gradients, and BatchNorm becomes FrozenBN."""
        for parameter in self.parameters():
            parameter.requires_grad = False
        freeze_batch_norm(self)
        return self


class ImageNetStem(CNNBlock):
    """7x7 conv stride 2, norm, ReLU, 3x3 max-pool stride 2."""

    def __init__(self, out_channels: int = 64, norm: str = "FrozenBN") -> None:
        super().__init__(3, out_channels, stride=4)
        self.conv1 = Conv2d(3, out_channels, 7, stride=2, norm=build_norm(norm, out_channels))
        msra_fill(self.conv1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 3, H, W) to (N, out_channels, H/4, W/4)."""
        return F.max_pool2d(F.relu_(self.conv1(x)), kernel_size=3, stride=2, padding=1)


class CifarStem(CNNBlock):
    """3x3 conv, norm, ReLU; no pooling (paper, Section 5.3)."""

    def __init__(self, out_channels: int = 64, norm: str = "FrozenBN") -> None:
        super().__init__(3, out_channels, stride=1)
        self.conv1 = Conv2d(3, out_channels, 3, norm=build_norm(norm, out_channels))
        msra_fill(self.conv1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 3, H, W) to (N, out_channels, H, W)."""
        return F.relu_(self.conv1(x))


class ResidualBlock(CNNBlock):
    """y = ReLU(shortcut(x) + transform(x)); the shortcut projects where channels change.

    That is the type-B shortcut of the ResNet paper. Subclasses build their convolutions,
    call `_initialise` with them, and give `transform` and `last_norm`. Without its residual
    connection (ResNeXt paper, Section 5.1) a block is y = ReLU(transform(x)).
    """

    shortcut: Conv2d | None

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, norm: str, residual: bool
    ) -> None:
        super().__init__(in_channels, out_channels, stride)
        self.residual = residual
        self.shortcut = None
        if residual and in_channels != out_channels:
            projection_norm = build_norm(norm, out_channels)
            self.shortcut = Conv2d(
                in_channels, out_channels, 1, stride=stride, norm=projection_norm
            )

    def _initialise(self, *convs: Conv2d) -> None:
        for conv in convs:
            msra_fill(conv)
        if self.shortcut is not None:
            msra_fill(self.shortcut)

    @property
    def last_norm(self) -> nn.Module | None:
        """The norm whose scale a zero initialisation sets to 0."""
        raise NotImplementedError

    def transform(self, x: Tensor) -> Tensor:
        """The residual branch, up to its last norm: (N, in, H, W) to (N, out, H/s, W/s)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        out = self.transform(x)
        if self.residual:
            out += x if self.shortcut is None else self.shortcut(x)
        return F.relu_(out)


class BasicBlock(ResidualBlock):
    """3x3, norm, ReLU, 3x3, norm: the block of depths 18 and 34."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        norm: str = "FrozenBN",
        residual: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, stride=stride, norm=norm, residual=residual)
        self.conv1 = Conv2d(
            in_channels, out_channels, 3, stride=stride, norm=build_norm(norm, out_channels)
        )
        self.conv2 = Conv2d(out_channels, out_channels, 3, norm=build_norm(norm, out_channels))
        self._initialise(self.conv1, self.conv2)

    @property
    def last_norm(self) -> nn.Module | None:
        """The norm of the second convolution."""
        return self.conv2.norm

    def transform(self, x: Tensor) -> Tensor:
        """Applies both convolutions."""
        return self.conv2(F.relu_(self.conv1(x)))


class BottleneckBlock(ResidualBlock):
    """1x1, norm, ReLU, grouped 3x3, norm, ReLU, 1x1, norm: form (c) of the paper's Figure 3."""

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
        """Builds the block.

        Args:
            in_channels: of the input map.
            out_channels: of the output map.
            bottleneck_channels: C · d, channels of the 3x3 convolution.
            num_groups: cardinality C.
            stride: of the whole block.
            stride_in_1x1: where the stride is: the first 1x1 (MSRA's original ResNets) or the
                3x3 (the paper's Section 4, torchvision, all of our own weights).
            dilation: of the 3x3 convolution.
            norm: "FrozenBN", "BN", "SyncBN", "GN" or "".
            residual: whether the input is added to the output.

        Raises:
            UserError: if num_groups does not divide bottleneck_channels.
        """
        super().__init__(in_channels, out_channels, stride=stride, norm=norm, residual=residual)
        check_width(bottleneck_channels, num_groups)
        width = bottleneck_channels
        stride_1x1, stride_3x3 = (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1 = Conv2d(in_channels, width, 1, stride=stride_1x1, norm=build_norm(norm, width))
        self.conv2 = self._build_3x3(
            width,
            stride=stride_3x3,
            dilation=dilation,
            groups=num_groups,
            norm=build_norm(norm, width),
        )
        self.conv3 = Conv2d(width, out_channels, 1, norm=build_norm(norm, out_channels))
        self._initialise(self.conv1, self.conv2, self.conv3)

    def _build_3x3(
        self, width: int, *, stride: int, dilation: int, groups: int, norm: nn.Module | None
    ) -> Conv2d:
        """Builds `conv2`, between the two 1x1, which sets the order of what is drawn."""
        return Conv2d(width, width, 3, stride=stride, dilation=dilation, groups=groups, norm=norm)

    @property
    def last_norm(self) -> nn.Module | None:
        """The norm of the last 1x1."""
        return self.conv3.norm

    def transform(self, x: Tensor) -> Tensor:
        """Applies the three convolutions."""
        return self.conv3(F.relu_(self.conv2(F.relu_(self.conv1(x)))))


def check_width(bottleneck_channels: int, num_groups: int) -> None:
    """Refuses a 3x3 convolution whose channels its groups cannot share equally.

    Raises:
        UserError: naming both numbers.
    """
    if num_groups < 1 or bottleneck_channels < 1 or bottleneck_channels % num_groups:
        raise UserError(
            f"{bottleneck_channels} bottleneck channels cannot be shared by {num_groups} groups; "
            "the width must be a positive multiple of num_groups (num_groups * width_per_group)"
        )
