"""Names of Caffe2's blobs in ours. Engine-neutral.

What a name says, by Detectron's modeling code (ResNet.py, FPN.py, rpn_heads.py, fast_rcnn_heads.py,
mask_rcnn_heads.py, keypoint_rcnn_heads.py, retinanet_heads.py of facebookresearch/Detectron at
04155a0):

    res4_22_branch2b_w               3x3 of block 22 of res4; 2a, 2c: the 1x1, branch1: shortcut
    …_bn_s, _bn_b                    BatchNorm folded into scale and bias
    …_bn_gamma, _beta, _running_…    all of BatchNorm, in Detectron2's converted backbones
    …_gn_s, _gn_b                    GroupNorm
    fpn_inner_res4_5_sum_lateral_w   1x1 of the FPN on res4, whose last block is 5
    fpn_res4_5_sum_w                 its 3x3
    …_fpn2                           shared by all levels, named after the finest

What it becomes is Detectron2's name, which is ours: see its `checkpoint/c2_model_loading.py`, whose
result the tests compare. Three things are ours alone: `fc1000` is the classifier too, RetinaNet's
head has names, and biases of convolutions before a norm, which no model adds, are left out.
"""

import re
from collections.abc import Callable

_KINDS = {"w": "weight", "b": "bias"}
# SpatialBN's own names are s, b, rm and riv, which is the variance, not its inverse.
_STATISTICS = {
    "s": "weight",
    "gamma": "weight",
    "b": "bias",
    "beta": "bias",
    "rm": "running_mean",
    "running_mean": "running_mean",
    "riv": "running_var",
    "running_var": "running_var",
}
_BRANCHES = {"1": "shortcut", "2a": "conv1", "2b": "conv2", "2c": "conv3"}
_RPN = "proposal_generator.rpn_head"

_NORM = "_(?:bn|gn)_(?P<norm>s|b|gamma|beta|rm|riv|running_mean|running_var)"
_END = f"(?:_(?P<kind>[wb])|{_NORM})"
_BLOCK = re.compile(rf"res(?P<stage>\d)_(?P<block>\d{{1,3}})_branch(?P<branch>1|2[abc]){_END}")
_IDLE_BIAS = re.compile(r"(?:conv1|res\d_\d{1,3}_branch(?:1|2[abc]))_b")
_BODY = re.compile(r"(?:conv1|res\d|res_conv1)_")

# (pattern of the blob before its ending, our name of the layer). Only an ending is looked at
# beside these, so that a blob with anything more in its name is none of them.
_LAYERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern + _END), ours)
    for pattern, ours in (
        (r"conv1", "stem.conv1"),
        (r"res_conv1", "stem.conv1"),
        (r"(?:pred|fc1000)", "linear"),
        (r"fpn_inner_res(?P<n>\d)_\d{1,3}_sum(?:_lateral)?", "fpn_lateral{n}"),
        (r"fpn_res(?P<n>\d)_\d{1,3}_sum", "fpn_output{n}"),
        (r"fpn_(?P<n>[67])", "top_block.p{n}"),
        (r"conv_rpn(?:_fpn2)?", f"{_RPN}.conv"),
        (r"rpn_cls_logits(?:_fpn2)?", f"{_RPN}.objectness_logits"),
        (r"rpn_bbox_pred(?:_fpn2)?", f"{_RPN}.anchor_deltas"),
        (r"cls_score", "cls_score"),
        (r"bbox_pred", "bbox_pred"),
        (r"fc6", "box_head.fc1"),
        (r"fc7", "box_head.fc2"),
        (r"head_conv(?P<n>\d{1,3})", "box_head.conv{n}"),
        (r"_(?:\[mask\]|mask)_fcn(?P<n>\d{1,3})", "mask_head.mask_fcn{n}"),
        (r"conv5_mask", "mask_head.deconv"),
        (r"mask_fcn_logits", "mask_head.predictor"),
        (r"conv_fcn(?P<n>\d{1,3})", "roi_heads.keypoint_head.conv_fcn{n}"),
        (r"kps_score_lowres", "roi_heads.keypoint_head.score_lowres"),
        # A convolution and its ReLU are two steps of Detectron2's nn.Sequential.
        (r"retnet_cls_conv_n(?P<twice>\d{1,3})_fpn3", "head.cls_subnet.{twice}"),
        (r"retnet_bbox_conv_n(?P<twice>\d{1,3})_fpn3", "head.bbox_subnet.{twice}"),
        (r"retnet_cls_pred_fpn3", "head.cls_score"),
        (r"retnet_bbox_pred_fpn3", "head.bbox_pred"),
    )
)


def rename_blob(blob: str) -> str | None:
    """Returns our name for a blob, or None where it has none; see the module's docstring."""
    match = _BLOCK.fullmatch(blob)
    if match:
        layer = f"res{match['stage']}.{int(match['block'])}.{_BRANCHES[match['branch']]}"
        return layer + _ending(match)
    for pattern, ours in _LAYERS:
        match = pattern.fullmatch(blob)
        if match:
            return ours.format_map(_numbers(match)) + _ending(match)
    return None


def is_caffe2s(blob: str) -> bool:
    """Tells a convolution of a residual block, which every one of these files has."""
    match = _BLOCK.fullmatch(blob)
    return match is not None and match["kind"] == "w"


def is_idle_bias(blob: str) -> bool:
    """Tells the bias of a convolution before a norm: Caffe2 wants one, no ResNet here adds it."""
    return _IDLE_BIAS.fullmatch(blob) is not None


def is_of_body(blob: str) -> bool:
    """Tells blobs of the stem and the stages, known or not."""
    return _BODY.match(blob) is not None


def is_of_solver(blob: str) -> bool:
    """Tells what training left beside the weights."""
    return blob.endswith("_momentum") or blob in ("lr", "weight_order")


def _ending(match: re.Match[str]) -> str:
    return f".norm.{_STATISTICS[match['norm']]}" if match["norm"] else f".{_KINDS[match['kind']]}"


def _numbers(match: re.Match[str]) -> dict[str, int]:
    found = match.groupdict()
    read: dict[str, Callable[[str], int]] = {"n": int, "twice": lambda digits: 2 * int(digits)}
    return {name: number(found[name]) for name, number in read.items() if found.get(name)}
