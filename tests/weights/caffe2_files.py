"""Blobs of Detectron's and Detectron2's Caffe2 files, built to the letter of Detectron's models.

Each function follows the one of Detectron's modeling code that it names (facebookresearch/Detectron
at 04155a0), and knows nothing of how this package reads names. Engine-neutral.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

R50, R101, R152 = (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)


def shapes_only(shape: tuple[int, ...]) -> Tensor:
    """A tensor of any size that takes four bytes."""
    return torch.zeros(1).expand(shape)


def random_values(seed: int) -> Callable[[tuple[int, ...]], Tensor]:
    """Numbers near a trained network's: they neither vanish nor explode over 150 layers."""
    generator = torch.Generator().manual_seed(seed)

    def make(shape: tuple[int, ...]) -> Tensor:
        fan_in = math.prod(shape[1:])
        if len(shape) == 1:
            return torch.empty(shape).uniform_(0.2, 0.6, generator=generator)
        return torch.randn(shape, generator=generator) / math.sqrt(fan_in)

    return make


@dataclass
class Net:
    """Blobs as `CNNModelHelper` names them: a layer's output, and `_w`, `_b`, `_s` after it."""

    make: Callable[[tuple[int, ...]], Tensor]
    norm: str  # "affine", "BN" as Detectron2's converted files have it, or "GN"
    variance: float = 1.0
    blobs: dict[str, Tensor] = field(default_factory=dict)

    def conv(self, name: str, c_out: int, c_in: int, kernel: int, *, bias: bool = True) -> None:
        self.blobs[f"{name}_w"] = self.make((c_out, c_in, kernel, kernel))
        if bias:
            self.blobs[f"{name}_b"] = self.make((c_out,))

    def fc(self, name: str, c_out: int, c_in: int) -> None:
        self.blobs[f"{name}_w"] = self.make((c_out, c_in))
        self.blobs[f"{name}_b"] = self.make((c_out,))

    def affine(self, name: str, channels: int) -> None:
        """detector.py, AffineChannel; ConvGN's GroupNorm has the same two."""
        ends = ("_bn_s", "_bn_b") if self.norm == "affine" else ("_gn_s", "_gn_b")
        if self.norm == "BN":
            ends = ("_bn_gamma", "_bn_beta", "_bn_running_mean")
            self.blobs[f"{name}_bn_running_var"] = self.make((channels,)) * self.variance
        for end in ends:
            self.blobs[name + end] = self.make((channels,))

    def normed(self, name: str, c_out: int, c_in: int, kernel: int) -> None:
        """detector.py, ConvAffine and ConvGN: no bias before the norm."""
        self.conv(name, c_out, c_in, kernel, bias=False)
        self.affine(name, c_out)


def add_body(
    net: Net, counts: tuple[int, ...] = R50, groups: int = 1, width: int = 64, slim: int = 1
) -> None:
    """ResNet.py, add_ResNet_convX_body; `slim` divides the channels, for tests of names."""
    net.conv("conv1", 64 // slim, 3, 7, bias=False)
    # The one norm whose name is not that of its convolution: see basic_bn_stem.
    net.affine("conv1" if net.norm == "GN" else "res_conv1", 64 // slim)
    dim_in = 64 // slim
    for index, count in enumerate(counts):
        dim_out, inner = 256 * 2**index // slim, groups * width * 2**index // slim
        for block in range(count):
            add_block(net, f"res{index + 2}_{block}", (dim_in, inner, dim_out), groups)
            dim_in = dim_out


def add_block(net: Net, prefix: str, dims: tuple[int, int, int], groups: int) -> None:
    """ResNet.py, add_residual_block with bottleneck_transformation and a shortcut."""
    dim_in, inner, dim_out = dims
    net.normed(f"{prefix}_branch2a", inner, dim_in, 1)
    net.normed(f"{prefix}_branch2b", inner, inner // groups, 3)
    net.normed(f"{prefix}_branch2c", dim_out, inner, 1)
    if dim_in != dim_out:
        net.normed(f"{prefix}_branch1", dim_out, dim_in, 1)


def add_fpn(net: Net, counts: tuple[int, ...] = R50, dim: int = 256, slim: int = 1) -> None:
    """FPN.py, add_fpn: the coarsest lateral has no `_lateral` in its name."""
    layer = net.normed if net.norm == "GN" else net.conv
    for index, count in reversed(list(enumerate(counts))):
        blob = f"res{index + 2}_{count - 1}_sum"
        lateral = "" if index == len(counts) - 1 else "_lateral"
        layer(f"fpn_inner_{blob}{lateral}", dim, 256 * 2**index // slim, 1)
        layer(f"fpn_{blob}", dim, dim, 3)


def add_rpn(net: Net, dim: int, anchors: int, level: str = "") -> None:
    """FPN.py, add_fpn_rpn_outputs (level "_fpn2"); rpn_heads.py, add_single_scale_rpn_outputs."""
    net.conv(f"conv_rpn{level}", dim, dim, 3)
    net.conv(f"rpn_cls_logits{level}", anchors, dim, 1)
    net.conv(f"rpn_bbox_pred{level}", 4 * anchors, dim, 1)


def add_box_outputs(net: Net, dim: int, classes: int, *, agnostic: bool = False) -> None:
    """fast_rcnn_heads.py, add_fast_rcnn_outputs; `classes` counts the background."""
    net.fc("cls_score", classes, dim)
    net.fc("bbox_pred", 4 * (2 if agnostic else classes), dim)


def add_mlp_head(net: Net, dim: int = 256, hidden: int = 1024) -> None:
    """fast_rcnn_heads.py, add_roi_2mlp_head on 7x7."""
    net.fc("fc6", hidden, dim * 49)
    net.fc("fc7", hidden, hidden)


def add_conv_gn_head(net: Net, dim: int = 256, hidden: int = 1024) -> None:
    """fast_rcnn_heads.py, add_roi_Xconv1fc_gn_head."""
    for number in range(1, 5):
        net.normed(f"head_conv{number}", dim, dim, 3)
    net.fc("fc6", hidden, dim * 49)


def add_mask_head(net: Net, dim: int, classes: int) -> None:
    """mask_rcnn_heads.py, mask_rcnn_fcn_head_v1up4convs, with GroupNorm or without."""
    for number in range(1, 5):
        if net.norm == "GN":
            net.normed(f"_mask_fcn{number}", dim, dim, 3)
        else:
            net.conv(f"_[mask]_fcn{number}", dim, dim, 3)
    add_mask_outputs(net, dim, dim, classes)


def add_mask_outputs(net: Net, c_in: int, dim: int, classes: int) -> None:
    """mask_rcnn_heads.py: conv5_mask is a transposed convolution, so (in, out, 2, 2)."""
    net.blobs["conv5_mask_w"] = net.make((c_in, dim, 2, 2))
    net.blobs["conv5_mask_b"] = net.make((dim,))
    net.conv("mask_fcn_logits", classes, dim, 1)


def add_keypoint_head(net: Net, dim: int, hidden: int, keypoints: int = 17) -> None:
    """keypoint_rcnn_heads.py, roi_pose_head_v1convX and add_keypoint_outputs."""
    for number in range(1, 9):
        net.conv(f"conv_fcn{number}", hidden, dim if number == 1 else hidden, 3)
    net.blobs["kps_score_lowres_w"] = net.make((hidden, keypoints, 4, 4))
    net.blobs["kps_score_lowres_b"] = net.make((keypoints,))


def add_retinanet(net: Net, dim: int, classes: int, anchors: int = 9) -> None:
    """retinanet_heads.py, add_fpn_retinanet_outputs with its defaults; FPN.py's extra levels."""
    for tower in ("cls", "bbox"):
        for number in range(4):
            net.conv(f"retnet_{tower}_conv_n{number}_fpn3", dim, dim, 3)
    net.conv("retnet_cls_pred_fpn3", (classes - 1) * anchors, dim, 3)
    net.conv("retnet_bbox_pred_fpn3", 4 * anchors, dim, 3)
    net.conv("fpn_7", dim, dim, 3)


def add_idle_biases(net: Net) -> None:
    """tools/pickle_caffe_blobs.py, add_missing_biases: zeros for every convolution."""
    for name in [blob for blob in net.blobs if blob.endswith("_w") and net.blobs[blob].dim() == 4]:
        net.blobs[f"{name.removesuffix('_w')}_b"] = torch.zeros(net.blobs[name].shape[0])


def with_momentum(blobs: dict[str, Tensor]) -> dict[str, Tensor]:
    """utils/net.py, save_model_to_weights_file: a trained file has the solver's state, too."""
    momenta = {f"{name}_momentum": value for name, value in blobs.items()}
    return {**blobs, **momenta}
