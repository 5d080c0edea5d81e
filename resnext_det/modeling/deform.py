"""The bottleneck block with a deformable 3x3 convolution, version 1 or 2. Engine-neutral."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnext_det.errors import UserError
from resnext_det.modeling.blocks import ResidualBlock, check_width
from resnext_det.modeling.conv import Conv2d, DeformConv2d
from resnext_det.modeling.norms import build_norm

_TAPS = 9  # of a 3x3 convolution


class DeformBottleneckBlock(ResidualBlock):
    """1x1, norm, ReLU, deformable grouped 3x3, norm, ReLU, 1x1, norm.

    A 3x3 convolution of the same input, `conv2_offset`, says where the taps of `conv2` look.
    It starts at zero, so that version 1 starts as the plain block, and version 2 as that with
    half the response. Names and layout are those of Detectron2's block of this name.
    """

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
        deform_modulated: bool = False,
        deform_num_groups: int = 1,
    ) -> None:
        """Builds the block.

        Args:
            in_channels: of the input map.
            out_channels: of the output map.
            bottleneck_channels: C · d, channels of the 3x3 convolution.
            num_groups: cardinality C.
            stride: of the whole block.
            stride_in_1x1: stride in the first 1x1 instead of the 3x3.
            dilation: of the 3x3 convolutions.
            norm: "FrozenBN", "BN", "SyncBN", "GN" or "".
            deform_modulated: version 2, whose taps have weights between 0 and 1 too.
            deform_num_groups: groups of channels with offsets of their own.

        Raises:
            UserError: if either number of groups does not divide bottleneck_channels.
        """
        super().__init__(in_channels, out_channels, stride=stride, norm=norm)
        check_width(bottleneck_channels, num_groups)
        check_deform_groups(bottleneck_channels, deform_num_groups)
        self.deform_modulated = deform_modulated
        width = bottleneck_channels
        stride_1x1, stride_3x3 = (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1 = Conv2d(in_channels, width, 1, stride=stride_1x1, norm=build_norm(norm, width))
        self.conv2_offset = Conv2d(
            width,
            (3 if deform_modulated else 2) * _TAPS * deform_num_groups,
            3,
            stride=stride_3x3,
            dilation=dilation,
            bias=True,
        )
        self.conv2 = DeformConv2d(
            width,
            width,
            3,
            stride=stride_3x3,
            dilation=dilation,
            groups=num_groups,
            norm=build_norm(norm, width),
        )
        self.conv3 = Conv2d(width, out_channels, 1, norm=build_norm(norm, out_channels))
        self._initialise(self.conv1, self.conv2, self.conv3)
        for parameter in self.conv2_offset.parameters():
            nn.init.zeros_(parameter)

    @property
    def last_norm(self) -> nn.Module | None:
        """The norm of the last 1x1."""
        return self.conv3.norm

    def transform(self, x: Tensor) -> Tensor:
        """Applies the four convolutions."""
        x = F.relu_(self.conv1(x))
        return self.conv3(F.relu_(self.conv2(x, *self._offset_and_mask(x))))

    def _offset_and_mask(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Two thirds of version 2's channels are offsets, the last third the mask's logits."""
        offset = self.conv2_offset(x)
        if not self.deform_modulated:
            return offset, None
        offset, mask = torch.split(offset, [offset.shape[1] // 3 * 2, offset.shape[1] // 3], dim=1)
        return offset, mask.sigmoid()


def check_deform_groups(bottleneck_channels: int, deform_num_groups: int) -> None:
    """Refuses channels that the deformable groups cannot share equally.

    Raises:
        UserError: naming both numbers.
    """
    if deform_num_groups < 1 or bottleneck_channels % deform_num_groups:
        raise UserError(
            f"{bottleneck_channels} bottleneck channels cannot be shared by {deform_num_groups} "
            "deformable groups; deform_num_groups must be at least 1 and divide them"
        )
