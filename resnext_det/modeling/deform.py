"""The bottleneck block with a deformable 3x3 convolution, version 1 or 2. Engine-neutral."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnext_det.errors import UserError
from resnext_det.modeling.blocks import BottleneckBlock
from resnext_det.modeling.conv import Conv2d, DeformConv2d

_TAPS = 9  # of a 3x3 convolution


class DeformBottleneckBlock(BottleneckBlock):
    """1x1, norm, ReLU, deformable grouped 3x3, norm, ReLU, 1x1, norm.

    A 3x3 convolution of the same input, `conv2_offset`, says where the taps of `conv2` look.
    It starts at zero, so that version 1 starts as the plain block, and version 2 as that with
    half the response. Names and layout are those of Detectron2's block of this name.
    """

    conv2: DeformConv2d

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        deform_modulated: bool = False,
        deform_num_groups: int = 1,
        **kwargs: Any,
    ) -> None:
        """Builds the block.

        Args:
            in_channels: of the input map.
            out_channels: of the output map.
            deform_modulated: version 2, whose taps have weights between 0 and 1 too.
            deform_num_groups: groups of channels with offsets of their own.
            kwargs: further arguments of `BottleneckBlock`.

        Raises:
            UserError: if either number of groups does not divide bottleneck_channels.
        """
        # Plain values, which `_build_3x3` needs, may be set before nn.Module is.
        self.deform_modulated = deform_modulated
        self.deform_num_groups = deform_num_groups
        super().__init__(in_channels, out_channels, **kwargs)
        for parameter in self.conv2_offset.parameters():
            nn.init.zeros_(parameter)

    def _build_3x3(
        self, width: int, *, stride: int, dilation: int, groups: int, norm: nn.Module | None
    ) -> DeformConv2d:
        """Builds `conv2_offset`, too, before `conv2`, as Detectron2 does."""
        check_deform_groups(width, self.deform_num_groups)
        shape: dict[str, Any] = {"stride": stride, "dilation": dilation}
        channels = (3 if self.deform_modulated else 2) * _TAPS * self.deform_num_groups
        self.conv2_offset = Conv2d(width, channels, 3, bias=True, **shape)
        return DeformConv2d(width, width, 3, groups=groups, norm=norm, **shape)

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
