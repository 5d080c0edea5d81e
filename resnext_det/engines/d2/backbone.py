"""This project's backbone under Detectron2's names. Detectron2."""

from typing import Any

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool

from resnext_det.config import apply_variant
from resnext_det.modeling.from_config import backbone_arguments
from resnext_det.modeling.resnet import ResNet


class ResNeXtBackbone(ResNet, Backbone):
    """`ResNet` as a Detectron2 `Backbone`: the same parameters, Detectron2's shape type.

    Takes the arguments of `resnext_det.modeling.resnet.ResNet`.
    """

    def output_shape(self) -> dict[str, Any]:
        """Returns Detectron2's `ShapeSpec` of each output feature."""
        return {
            name: ShapeSpec(channels=shape.channels, stride=shape.stride)
            for name, shape in super().output_shape().items()
        }


@BACKBONE_REGISTRY.register()
def build_resnext_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> ResNeXtBackbone:
    """Builds the backbone of `MODEL.RESNETS.*` and `MODEL.BACKBONE.FREEZE_AT`.

    Raises:
        UserError: the settings name no network, or the input has not three channels.
    """
    cfg = cfg.clone()
    cfg.defrost()
    apply_variant(cfg, None)
    return ResNeXtBackbone(**backbone_arguments(cfg))


@BACKBONE_REGISTRY.register()
def build_resnext_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Builds Detectron2's FPN (p2 … p6) over `build_resnext_backbone`."""
    return FPN(
        bottom_up=build_resnext_backbone(cfg, input_shape),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
