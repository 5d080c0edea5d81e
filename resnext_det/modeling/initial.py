"""The weights that a classifier starts from in the authors' code. Engine-neutral."""

import math

from torch import nn

from resnext_det.modeling.conv import Conv2d, msra_fill

INITS = ("detectron2", "torch7")


def fill_as_torch7(network: nn.Module) -> None:
    """Draws all convolutions and linear layers anew, as the authors' Torch7 code does.

    Convolutions: normal(0, sqrt(2 / n)) with n = k² · C_out, C_out being all output channels
    of a grouped convolution; in the forms of separate paths, those of the path's own layer.
    Linear layers: bias 0, and the weight as Torch7's `nn.Linear` starts, uniform within
    1 / sqrt(inputs). Norms start at scale 1 and shift 0 anyway. The convolutions that give a
    deformable one its offsets stay at 0.

    Args:
        network: as it was built; on the meta device nothing is drawn.

    Source: facebookresearch/ResNeXt, models/resnext.lua (ConvInit); torch/nn, Linear.lua (reset).
    """
    for name, module in network.named_modules():
        if isinstance(module, Conv2d) and not name.endswith("conv2_offset"):
            msra_fill(module)
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound)
            nn.init.zeros_(module.bias)
