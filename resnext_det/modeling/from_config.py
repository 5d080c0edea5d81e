"""Backbone and classifier from a config tree; all that the models read of it. Engine-neutral."""

from collections.abc import Sequence
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.errors import UserError
from resnext_det.modeling.classifier import Classifier
from resnext_det.modeling.layout import BASIC_DEPTHS
from resnext_det.modeling.resnet import ResNet


def backbone_from_config(
    cfg: CfgNode, *, out_features: Sequence[str] | None = None, freeze_at: int | None = None
) -> ResNet:
    """Builds the backbone that `MODEL.RESNETS` and `MODEL.BACKBONE.FREEZE_AT` describe.

    Args:
        cfg: the whole config tree.
        out_features: instead of `MODEL.RESNETS.OUT_FEATURES`.
        freeze_at: instead of `MODEL.BACKBONE.FREEZE_AT`.

    Raises:
        UserError: naming the key that cannot be honoured.
    """
    arguments = backbone_arguments(cfg)
    if out_features is not None:
        arguments["out_features"] = out_features
    if freeze_at is not None:
        arguments["freeze_at"] = freeze_at
    return ResNet(**arguments)


def backbone_arguments(cfg: CfgNode) -> dict[str, Any]:
    """Returns the arguments of `ResNet` that a config describes.

    Raises:
        UserError: naming the key that cannot be honoured.
    """
    return {
        **_architecture(cfg),
        "out_features": cfg.MODEL.RESNETS.OUT_FEATURES,
        "freeze_at": int(cfg.MODEL.BACKBONE.FREEZE_AT),
    }


def classifier_from_config(cfg: CfgNode) -> Classifier:
    """Builds the classifier: the backbone's keys and those of `MODEL.CLASSIFIER`.

    Raises:
        UserError: naming the key that cannot be honoured.
    """
    return Classifier(
        **_architecture(cfg),
        num_classes=cfg.MODEL.CLASSIFIER.NUM_CLASSES,
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
        init=cfg.MODEL.CLASSIFIER.INIT,
    )


def _architecture(cfg: CfgNode) -> dict[str, Any]:
    keys = cfg.MODEL.RESNETS
    _check_keys(keys)
    return {
        "depth": keys.DEPTH,
        "num_groups": keys.NUM_GROUPS,
        "width_per_group": keys.WIDTH_PER_GROUP,
        "stem_out_channels": keys.STEM_OUT_CHANNELS,
        "res2_out_channels": keys.RES2_OUT_CHANNELS,
        "stride_in_1x1": keys.STRIDE_IN_1X1,
        "norm": keys.NORM,
        "res5_dilation": keys.RES5_DILATION,
        "deform_on_per_stage": keys.DEFORM_ON_PER_STAGE,
        "deform_modulated": keys.DEFORM_MODULATED,
        "deform_num_groups": keys.DEFORM_NUM_GROUPS,
        "stem": keys.STEM,
        "block_form": keys.BLOCK_FORM,
        "shortcuts": keys.SHORTCUTS,
        "zero_init_residual": keys.ZERO_INIT_RESIDUAL,
        "activation_checkpointing": keys.ACTIVATION_CHECKPOINTING,
    }


def _check_keys(keys: CfgNode) -> None:
    """Refuses what Detectron2 refuses too.

    Detectron2's default of RES2_OUT_CHANNELS is 256, which suits bottleneck blocks only.
    """
    if keys.DEPTH in BASIC_DEPTHS and keys.RES2_OUT_CHANNELS != 64:
        raise UserError(
            f"MODEL.RESNETS.RES2_OUT_CHANNELS must be 64 with DEPTH {keys.DEPTH} (basic "
            f"blocks); it is {keys.RES2_OUT_CHANNELS}: set MODEL.RESNETS.RES2_OUT_CHANNELS 64"
        )
