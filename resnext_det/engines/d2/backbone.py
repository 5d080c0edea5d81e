"""This project's backbone under Detectron2's names, from YAML and from LazyConfig. Detectron2."""

from typing import Any

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN, ROI_HEADS_REGISTRY, Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool, LastLevelP6P7
from detectron2.modeling.roi_heads import Res5ROIHeads
from torch import nn

from resnext_det.config import apply_variant as apply_to_tree
from resnext_det.errors import UserError
from resnext_det.modeling.build import variant_arguments
from resnext_det.modeling.from_config import backbone_arguments
from resnext_det.modeling.resnet import ResNet

# What Detectron2's Res5ROIHeads builds its res5 from.
RES5_KEYS = ("NUM_GROUPS", "WIDTH_PER_GROUP", "RES2_OUT_CHANNELS", "STRIDE_IN_1X1")


class ResNeXt(ResNet, Backbone):
    """A ResNeXt or ResNet as a Detectron2 `Backbone`: the same parameters, its shape type.

    Args:
        variant: a name of `resnext_det.list_variants()`, instead of depth, num_groups,
            width_per_group and stem.
        **kwargs: arguments of `resnext_det.modeling.ResNet`: those four, out_features, norm,
            freeze_at, stride_in_1x1, res5_dilation, deform_on_per_stage …

    Raises:
        UserError: the arguments contradict each other, or name no network.
    """

    def __init__(self, *, variant: str | None = None, **kwargs: Any) -> None:
        if variant is not None:
            kwargs = variant_arguments(variant, kwargs)
        elif "depth" not in kwargs:
            raise UserError("ResNeXt needs variant, such as 'resnext50_32x4d', or depth")
        super().__init__(**kwargs)

    def output_shape(self) -> dict[str, Any]:
        """Returns Detectron2's `ShapeSpec` of each output feature."""
        return {
            name: ShapeSpec(channels=shape.channels, stride=shape.stride)
            for name, shape in super().output_shape().items()
        }


def apply_variant(cfg: CfgNode) -> None:
    """Writes out what `MODEL.RESNETS.VARIANT` stands for: DEPTH, NUM_GROUPS ….

    The backbones' builders do so for themselves. C4 heads, which are Detectron2's and know no
    variants, need it done before `build_model`, and before `cfg.freeze()`.

    Raises:
        UserError: the variant is unknown, or one of its keys has another value.
    """
    apply_to_tree(cfg, None)


@BACKBONE_REGISTRY.register()
def build_resnext_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> ResNeXt:
    """Builds the backbone of `MODEL.RESNETS.*` and `MODEL.BACKBONE.FREEZE_AT`.

    Raises:
        UserError: the settings name no network, the input has not three channels, or the
            heads would not be of the same variant.
    """
    if input_shape.channels != 3:
        raise UserError(
            f"MODEL.PIXEL_MEAN has {input_shape.channels} channels; a ResNeXt takes images of 3"
        )
    applied = cfg.clone()
    applied.defrost()
    apply_variant(applied)
    _check_heads(cfg, applied)
    return ResNeXt(**backbone_arguments(applied))


@BACKBONE_REGISTRY.register()
def build_resnext_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Builds Detectron2's FPN (p2 … p6) over `build_resnext_backbone`."""
    return _build_fpn(cfg, build_resnext_backbone(cfg, input_shape), LastLevelMaxPool())


@BACKBONE_REGISTRY.register()
def build_retinanet_resnext_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Builds RetinaNet's FPN (p3 … p7, p6 from res5) over `build_resnext_backbone`.

    Raises:
        UserError: res5 is not among `MODEL.RESNETS.OUT_FEATURES`.
    """
    bottom_up = build_resnext_backbone(cfg, input_shape)
    shapes = bottom_up.output_shape()
    if "res5" not in shapes:
        raise UserError(
            f"MODEL.RESNETS.OUT_FEATURES is {list(shapes)}; p6 is made from res5, so name it too"
        )
    top = LastLevelP6P7(shapes["res5"].channels, cfg.MODEL.FPN.OUT_CHANNELS)
    return _build_fpn(cfg, bottom_up, top)


def _build_fpn(cfg: CfgNode, bottom_up: ResNeXt, top_block: nn.Module) -> FPN:
    return FPN(
        bottom_up=bottom_up,
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=top_block,
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )


def _check_heads(cfg: CfgNode, applied: CfgNode) -> None:
    """Refuses C4 heads that would build the res5 of another network than the variant."""
    given, wanted = cfg.MODEL.RESNETS, applied.MODEL.RESNETS
    if all(given[key] == wanted[key] for key in RES5_KEYS):
        return
    name = cfg.MODEL.ROI_HEADS.NAME
    uses_heads = cfg.MODEL.META_ARCHITECTURE in ("GeneralizedRCNN", "PanopticFPN")
    if uses_heads and name in ROI_HEADS_REGISTRY and _is_c4(name):
        raise UserError(
            f"MODEL.RESNETS.VARIANT is {wanted.VARIANT}, but {name} would build res5 of "
            "MODEL.RESNETS as it stands: call resnext_det.engines.d2.apply_variant(cfg) first"
        )


def _is_c4(name: str) -> bool:
    return issubclass(ROI_HEADS_REGISTRY.get(name), Res5ROIHeads)
