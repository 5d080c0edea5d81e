"""Which normalisation and stride a file in Detectron2's names wants. Engine-neutral.

No key says it. Two authors' files are told by `__author__` beside the tensors:

- "torchvision": Detectron2's tools/convert-torchvision-to-d2.py wrote it, for RGB.
- "Detectron2 Model Zoo": by norm and shapes, as that zoo's configs have them (configs/ at 02b5c4e):

    norm  shapes         std       stride      configs
    BN    R-50, R-101    1         in the 1x1  Base-RCNN-*.yaml, from MSRA's backbones
    BN    X-101-32x8d    57.375…   in the 3x3  *_X_101_32x8d_FPN_*.yaml
    BN    X-152-32x8d    1         in the 3x3  cascade_mask_rcnn_X_152_32x8d_FPN_IN5k_gn_dconv.yaml
    GN    R-50, R-101    1         in the 3x3  mask_rcnn_R_50_FPN_3x_gn.yaml, panoptic_fpn_R_101_…

  The zoo's models with BatchNorm in the FPN, too, differ among themselves (`…_3x_syncbn` strides in
  the 1x1, `scratch_…_9x_syncbn` in the 3x3, with another std): they stay unknown here. The rule is
  wrong for a file of one's own that says to be the zoo's.

Older Detectron2 kept mean and std as buffers of the model: where they are, they are believed.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from resnext_det.weights.architecture import infer_architecture
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.naming.detectron_family import PIXEL_MEAN, PIXEL_STD, STD_IN_STEM

ZOO = "Detectron2 Model Zoo"
# (norm, depth, groups, width of a group) -> (std, stride in the 1x1)
_ZOOS = {
    ("BN", 50, 1, 64): (STD_IN_STEM, True),
    ("BN", 101, 1, 64): (STD_IN_STEM, True),
    ("BN", 101, 32, 8): (PIXEL_STD, False),
    ("BN", 152, 32, 8): (STD_IN_STEM, False),
    ("GN", 50, 1, 64): (STD_IN_STEM, False),
    ("GN", 101, 1, 64): (STD_IN_STEM, False),
}


def convention_by_author(
    author: object, state: Mapping[str, Tensor], norm: str
) -> tuple[Convention | None, str]:
    """Returns the convention of a known author's file, or None; and a line for the log or "".

    Args:
        author: what stands beside the tensors as `__author__`.
        state: our names, the buffers `pixel_mean` and `pixel_std` still among them.
        norm: of the backbone, "BN" or "GN".
    """
    if author == "torchvision":
        return torchvision_convention(), ""
    if author != ZOO:
        return None, ""
    convention, note = _of_zoo(state, norm)
    if convention is None:
        return None, note
    buffers = _buffers(state)
    if buffers is None:
        return convention, note
    mean, std = buffers
    # Among the zoo's, the blue mean is the lowest.
    order = "BGR" if mean[0] < mean[-1] else "RGB"
    believed = replace(convention, format=order, mean=mean, std=std)
    return believed, f"{note}; mean and std as its buffers say"


def _of_zoo(state: Mapping[str, Tensor], norm: str) -> tuple[Convention | None, str]:
    architecture = infer_architecture(state)
    normed_fpn = any(".fpn_" in key and key.endswith("running_var") for key in state)
    if not architecture or normed_fpn or "a deep stem" in architecture.special:
        return None, "of the Detectron2 Model Zoo, but which of its configs it had is not known"
    groups, width = architecture.num_groups, architecture.width_per_group
    shapes = (norm, architecture.depth, groups, width)
    if shapes not in _ZOOS:
        return None, f"the Detectron2 Model Zoo has no {architecture} with norm {norm}"
    std, in_1x1 = _ZOOS[shapes]
    note = (
        f"by {ZOO}, so as its configs of a {architecture} with norm {norm} have it: BGR, std "
        f"{std[0]:g} …, stride in the {'1x1' if in_1x1 else '3x3'}"
    )
    return Convention("BGR", PIXEL_MEAN, std, in_1x1), note


def _buffers(state: Mapping[str, Tensor]) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    found = [state.get("pixel_mean"), state.get("pixel_std")]
    mean, std = (_three(tensor) for tensor in found)
    return (mean, std) if mean and std else None


def _three(tensor: Tensor | None) -> tuple[float, ...] | None:
    if tensor is None or tensor.numel() != 3 or not torch.isfinite(tensor).all():
        return None
    # Rounded: they were written as float32, 103.53 as 103.52999877….
    return tuple(round(value, 4) for value in tensor.double().flatten().tolist())
