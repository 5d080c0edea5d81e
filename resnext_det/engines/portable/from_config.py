"""Builds the detector from a config, refusing values it does not support. Portable."""

from typing import Any

from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.acceleration.training_pooling import TrainingPooler
from resnext_det.acceleration.training_proposals import BatchedRPN
from resnext_det.config import get_value
from resnext_det.engines.portable.anchors import AnchorGenerator
from resnext_det.engines.portable.box_head import BoxHead, BoxPredictor
from resnext_det.engines.portable.box_regression import BOX_LOSSES, BoxTransform
from resnext_det.engines.portable.conv import build_conv
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.fpn import FPN
from resnext_det.engines.portable.matching import Matcher
from resnext_det.engines.portable.pooling import RoIPooler
from resnext_det.engines.portable.roi_heads import RoIHeads
from resnext_det.engines.portable.rpn import RPN, RPNHead
from resnext_det.errors import UserError
from resnext_det.modeling.conv import fold_frozen_norms
from resnext_det.modeling.from_config import backbone_from_config
from resnext_det.structures import ShapeSpec

# Keys of which only some values are supported; the others are Detectron2's.
SUPPORTED: dict[str, tuple[Any, ...]] = {
    "MODEL.META_ARCHITECTURE": ("GeneralizedRCNN",),
    "MODEL.BACKBONE.NAME": ("build_resnext_fpn_backbone", "build_resnet_fpn_backbone"),
    "MODEL.MASK_ON": (False,),
    "MODEL.KEYPOINT_ON": (False,),
    "MODEL.LOAD_PROPOSALS": (False,),
    "MODEL.FPN.FUSE_TYPE": ("sum", "avg"),
    "MODEL.PROPOSAL_GENERATOR.NAME": ("RPN",),
    "MODEL.ANCHOR_GENERATOR.NAME": ("DefaultAnchorGenerator",),
    "MODEL.RPN.HEAD_NAME": ("StandardRPNHead",),
    "MODEL.RPN.BBOX_REG_LOSS_TYPE": BOX_LOSSES,
    "MODEL.ROI_HEADS.NAME": ("StandardROIHeads",),
    "MODEL.ROI_BOX_HEAD.NAME": ("FastRCNNConvFCHead",),
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": ("ROIAlignV2",),
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE": BOX_LOSSES,
}


def detector_from_config(cfg: CfgNode) -> FasterRCNN:
    """Builds Faster R-CNN with FPN on the CPU, weights at their starting values.

    Args:
        cfg: Detectron2's keys and our own.

    Raises:
        UserError: a key has a value this engine does not support, or values do not fit
            together (the message names the key).
    """
    check_values(cfg)
    model = cfg.MODEL
    bottom_up = backbone_from_config(cfg, freeze_at=model.BACKBONE.FREEZE_AT)
    try:
        backbone = FPN(
            bottom_up,
            model.FPN.IN_FEATURES,
            model.FPN.OUT_CHANNELS,
            norm=model.FPN.NORM,
            fuse_type=model.FPN.FUSE_TYPE,
        )
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"MODEL.FPN.IN_FEATURES: {error}") from error
    shapes = backbone.output_shape()
    detector = FasterRCNN(
        backbone=backbone,
        proposal_generator=_build_rpn(cfg, _maps(cfg, "MODEL.RPN.IN_FEATURES", shapes)),
        roi_heads=_build_roi_heads(cfg, _maps(cfg, "MODEL.ROI_HEADS.IN_FEATURES", shapes)),
        pixel_mean=model.PIXEL_MEAN,
        pixel_std=model.PIXEL_STD,
    )
    if cfg.SOLVER.FOLD_NORMS:
        fold_frozen_norms(detector)
    return detector


def check_values(cfg: CfgNode) -> None:
    """Refuses values of `SUPPORTED` keys that this engine does not know.

    Raises:
        UserError: naming key, value, and the supported ones.
    """
    for key, supported in SUPPORTED.items():
        value = get_value(cfg, key)
        if value not in supported:
            options = ", ".join(repr(option) for option in supported)
            raise UserError(
                f"{key} is {value!r}, which the portable engine does not support "
                f"(it supports {options}): use --engine d2"
            )
    convs = len(cfg.MODEL.RPN.CONV_DIMS)
    if cfg.SOLVER.SAMPLED_ANCHORS and convs != 1:
        raise UserError(
            f"SOLVER.SAMPLED_ANCHORS is True, but MODEL.RPN.CONV_DIMS has {convs} convolutions, "
            "and it takes one; set SOLVER.SAMPLED_ANCHORS False"
        )


def _maps(cfg: CfgNode, key: str, shapes: dict[str, ShapeSpec]) -> dict[str, ShapeSpec]:
    names = get_value(cfg, key)
    missing = [name for name in names if name not in shapes]
    if missing or not names:
        raise UserError(f"{key} is {list(names)}, but the FPN gives {list(shapes)}")
    return {name: shapes[name] for name in names}


def _matcher(node: CfgNode, key: str, *, allow_low_quality_matches: bool) -> Matcher:
    try:
        return Matcher(
            node.IOU_THRESHOLDS,
            node.IOU_LABELS,
            allow_low_quality_matches=allow_low_quality_matches,
        )
    except ValueError as error:
        raise UserError(f"{key}: {error}") from error


def _build_anchors(cfg: CfgNode, shapes: dict[str, ShapeSpec]) -> AnchorGenerator:
    node = cfg.MODEL.ANCHOR_GENERATOR
    try:
        anchors = AnchorGenerator(
            sizes=node.SIZES,
            aspect_ratios=node.ASPECT_RATIOS,
            strides=[shape.stride for shape in shapes.values()],
            offset=node.OFFSET,
        )
    except ValueError as error:
        raise UserError(f"MODEL.ANCHOR_GENERATOR: {error}") from error
    if len(set(anchors.num_anchors)) != 1:
        raise UserError(
            "MODEL.ANCHOR_GENERATOR: every level needs the same number of anchors per cell, "
            f"not {anchors.num_anchors}"
        )
    return anchors


def _build_rpn(cfg: CfgNode, shapes: dict[str, ShapeSpec]) -> RPN:
    node = cfg.MODEL.RPN
    anchors = _build_anchors(cfg, shapes)
    channels = next(iter(shapes.values())).channels
    kind = BatchedRPN if cfg.SOLVER.FAST_SUPPRESSION else RPN
    return kind(
        in_features=tuple(shapes),
        rpn_head=RPNHead(channels, anchors.num_anchors[0], node.CONV_DIMS),
        anchor_generator=anchors,
        matcher=_matcher(node, "MODEL.RPN", allow_low_quality_matches=True),
        transform=BoxTransform(node.BBOX_REG_WEIGHTS),
        batch_size_per_image=node.BATCH_SIZE_PER_IMAGE,
        positive_fraction=node.POSITIVE_FRACTION,
        pre_nms_topk=(node.PRE_NMS_TOPK_TRAIN, node.PRE_NMS_TOPK_TEST),
        post_nms_topk=(node.POST_NMS_TOPK_TRAIN, node.POST_NMS_TOPK_TEST),
        nms_thresh=node.NMS_THRESH,
        min_box_size=float(cfg.MODEL.PROPOSAL_GENERATOR.MIN_SIZE),
        boundary_thresh=node.BOUNDARY_THRESH,
        loss_weights=(node.LOSS_WEIGHT, node.BBOX_REG_LOSS_WEIGHT * node.LOSS_WEIGHT),
        box_loss_type=node.BBOX_REG_LOSS_TYPE,
        smooth_l1_beta=node.SMOOTH_L1_BETA,
        sampled_anchors=cfg.SOLVER.SAMPLED_ANCHORS,
    )


def _build_roi_heads(cfg: CfgNode, shapes: dict[str, ShapeSpec]) -> RoIHeads:
    node, box = cfg.MODEL.ROI_HEADS, cfg.MODEL.ROI_BOX_HEAD
    channels = next(iter(shapes.values())).channels
    box_head, pooler = _build_box_head(box, channels), _build_pooler(box, shapes)
    return RoIHeads(
        in_features=tuple(shapes),
        box_pooler=TrainingPooler.of(pooler) if cfg.SOLVER.FAST_POOLING else pooler,
        box_head=box_head,
        box_predictor=BoxPredictor(
            box_head.out_channels,
            node.NUM_CLASSES,
            transform=BoxTransform(box.BBOX_REG_WEIGHTS),
            class_agnostic=box.CLS_AGNOSTIC_BBOX_REG,
            box_loss_type=box.BBOX_REG_LOSS_TYPE,
            smooth_l1_beta=box.SMOOTH_L1_BETA,
            box_loss_weight=box.BBOX_REG_LOSS_WEIGHT,
        ),
        matcher=_matcher(node, "MODEL.ROI_HEADS", allow_low_quality_matches=False),
        batch_size_per_image=node.BATCH_SIZE_PER_IMAGE,
        positive_fraction=node.POSITIVE_FRACTION,
        append_gt=node.PROPOSAL_APPEND_GT,
        score_thresh=node.SCORE_THRESH_TEST,
        nms_thresh=node.NMS_THRESH_TEST,
        detections_per_image=cfg.TEST.DETECTIONS_PER_IMAGE,
    )


def _build_box_head(box: CfgNode, channels: int) -> BoxHead:
    if box.NUM_CONV + box.NUM_FC == 0:
        raise UserError("MODEL.ROI_BOX_HEAD: NUM_CONV and NUM_FC are both 0; one must be more")

    def conv(in_channels: int, out_channels: int) -> nn.Conv2d:
        return build_conv(in_channels, out_channels, 3, box.NORM)

    return BoxHead(
        channels,
        box.POOLER_RESOLUTION,
        conv_dims=[box.CONV_DIM] * box.NUM_CONV,
        fc_dims=[box.FC_DIM] * box.NUM_FC,
        conv=conv,
    )


def _build_pooler(box: CfgNode, shapes: dict[str, ShapeSpec]) -> RoIPooler:
    strides = [shape.stride for shape in shapes.values()]
    try:
        return RoIPooler(box.POOLER_RESOLUTION, strides, box.POOLER_SAMPLING_RATIO)
    except ValueError as error:
        raise UserError(f"MODEL.ROI_HEADS.IN_FEATURES: {error}") from error
