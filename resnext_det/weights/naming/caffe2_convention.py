"""Which normalisation and stride a Caffe2 file wants, which no name in it says. Engine-neutral.

A whole detector of Detectron carries its config, which says it. A backbone is told by its shape and
norm, since few were published (Detectron's MODEL_ZOO.md and projects/GN; Detectron2's MODEL_ZOO.md,
checkpoint/catalog.py and configs, at 02b5c4e):

    norm    shapes                     std     stride      files
    BN      R-50, R-101                1       in the 1x1  MSRA's, converted for Detectron2
    BN      X-101-32x8d                57.375… in the 3x3  FAIR's, converted for Detectron2
    affine  R-50, R-101                1       in the 1x1  MSRA's, for Detectron
    affine  X-101-32x8d, X-101-64x4d,  1       in the 3x3  FAIR's, for Detectron; catalog.py: "all
            X-152-32x8d (IN5k)                             models here uses PIXEL_STD=[1,1,1]"
    GN      R-50, R-101                1       in the 3x3  FAIR's; mask_rcnn_R_50_FPN_3x_gn.yaml

The rule is wrong for a backbone of the same shape and norm that somebody else trained and wrote
under these names; nothing in such a file tells.
"""

from collections.abc import Mapping

from torch import Tensor

from resnext_det.weights.architecture import infer_architecture
from resnext_det.weights.convention import Convention
from resnext_det.weights.naming.detectron_cfg import DetectronCfg
from resnext_det.weights.naming.detectron_family import PIXEL_MEAN, PIXEL_STD, STD_IN_STEM

# detectron/core/config.py: the same for all networks, "the history of where these values comes
# from is lost". Detectron divides by no std.
_DETECTRON_MEAN = (102.9801, 115.9465, 122.7717)

# (norm, depth, groups, width of a group) -> (std, stride in the 1x1)
_PUBLISHED = {
    ("BN", 50, 1, 64): (STD_IN_STEM, True),
    ("BN", 101, 1, 64): (STD_IN_STEM, True),
    ("BN", 101, 32, 8): (PIXEL_STD, False),
    ("affine", 50, 1, 64): (STD_IN_STEM, True),
    ("affine", 101, 1, 64): (STD_IN_STEM, True),
    ("affine", 101, 32, 8): (STD_IN_STEM, False),
    ("affine", 101, 64, 4): (STD_IN_STEM, False),
    ("affine", 152, 32, 8): (STD_IN_STEM, False),
    ("GN", 50, 1, 64): (STD_IN_STEM, False),
    ("GN", 101, 1, 64): (STD_IN_STEM, False),
}


def backbone_convention(state: Mapping[str, Tensor], norm: str) -> tuple[Convention | None, str]:
    """Tells a published backbone by its shape and norm.

    Args:
        state: our names.
        norm: "BN", "affine" or "GN".

    Returns:
        The convention, or None; and one line for the log, how it is known or why it is not.
    """
    architecture = infer_architecture(state)
    if architecture is None:
        return None, "its shapes are of no bottleneck ResNet, so its pixels' mean is not known"
    groups, width = architecture.num_groups, architecture.width_per_group
    found = _PUBLISHED.get((norm, architecture.depth, groups, width))
    if found is None:
        return None, (
            f"no published Caffe2 file is {architecture} with norm {norm}: its pixels' mean, std "
            "and its stride are not known"
        )
    std, in_1x1 = found
    note = (
        f"taken for the published {architecture} with norm {norm}: BGR, std {std[0]:g} …, stride "
        f"in the {'1x1' if in_1x1 else '3x3'}; a file of your own may want others"
    )
    return Convention("BGR", PIXEL_MEAN, std, in_1x1), note


def detector_convention(
    state: Mapping[str, Tensor], cfg: DetectronCfg
) -> tuple[Convention | None, str]:
    """Takes the convention of a whole detector from its own config.

    Returns:
        The convention, or None where config and shapes contradict each other; and a line for the
        log.
    """
    architecture = infer_architecture(state)
    if architecture and cfg.num_groups not in (None, architecture.num_groups):
        return None, (
            f"its cfg says RESNETS.NUM_GROUPS {cfg.num_groups}, its shapes {architecture}: its "
            "pixels' mean and its stride are not taken from that cfg"
        )
    means = cfg.pixel_means or _DETECTRON_MEAN
    in_1x1 = True if cfg.stride_1x1 is None else cfg.stride_1x1  # its default
    return Convention("BGR", means, STD_IN_STEM, in_1x1), "pixels and stride as its own cfg says"
