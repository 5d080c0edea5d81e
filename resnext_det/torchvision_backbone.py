"""The backbone with an FPN for torchvision's own detectors. Engine-neutral."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torchvision.models import WeightsEnum
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool

from resnext_det.errors import UserError
from resnext_det.modeling import ResNet, build_backbone, get_variant
from resnext_det.modeling.layout import BLOCKS_PER_STAGE
from resnext_det.weights.architecture import infer_architecture
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.load import load_weights
from resnext_det.weights.sources import Weights, resolve_weights
from resnext_det.weights.suiting import check_norm


class ResNeXtWithFPN(nn.Module):
    """What torchvision's `FasterRCNN`, `RetinaNet` and `FCOS` take as their backbone.

    Parameters: `body.*` with this project's names (`body.stem.conv1.weight` …), `fpn.*` with
    torchvision's, as in its `BackboneWithFPN`.

    Attributes:
        out_channels: channels of every map, which the detectors read.
    """

    def __init__(self, body: ResNet, out_channels: int, extra_blocks: ExtraFPNBlock) -> None:
        super().__init__()
        self.body = body
        channels = [shape.channels for shape in body.output_shape().values()]
        self.fpn = FeaturePyramidNetwork(channels, out_channels, extra_blocks)
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Maps (N, 3, H, W) normalised pixels to {"0": (N, out_channels, H/4, W/4), "1": …}.

        After the numbered maps come those of the extra block: "pool", or "p6" and "p7".
        """
        maps = self.body(x).values()
        return self.fpn(OrderedDict((str(level), value) for level, value in enumerate(maps)))


def resnext_fpn_backbone(
    *,
    backbone_name: str,
    weights: str | Path | WeightsEnum | None = None,
    norm: str = "FrozenBN",
    trainable_layers: int = 3,
    returned_layers: Sequence[int] | None = None,
    extra_blocks: ExtraFPNBlock | None = None,
    out_channels: int = 256,
    **kwargs: Any,
) -> ResNeXtWithFPN:
    """Builds a ResNet or ResNeXt with an FPN, as torchvision's `resnet_fpn_backbone` does.

    Args:
        backbone_name: a name of `list_variants()`.
        weights: a file that `resnext-det weights inspect` knows, an address of one,
            `torchvision://NAME/WEIGHTS`, `timm://NAME`, `detectron2://PATH`, or a torchvision enum
            (`ResNet50_Weights.IMAGENET1K_V1`). None draws them; then train everything: norm "BN"
            and trainable_layers 5.
        norm: "FrozenBN", "BN", "SyncBN" or "GN".
        trainable_layers: 0 none, 1 the last stage, … 5 all stages and the stem. BatchNorm below
            becomes FrozenBN; torchvision would leave its running averages moving.
        returned_layers: stages that the FPN takes, rising; 1 is res2 (stride 4). None for all.
        extra_blocks: makes the coarser maps; None for torchvision's `LastLevelMaxPool`.
        out_channels: channels of every map.
        kwargs: further arguments of `resnext_det.modeling.ResNet`.

    Raises:
        UserError: an argument or the weights do not fit the network.
    """
    num_stages = len(BLOCKS_PER_STAGE[get_variant(backbone_name).depth])
    _check_trainable_layers(trainable_layers, num_stages)
    body = build_backbone(
        backbone_name,
        out_features=_stage_names(returned_layers, num_stages),
        norm=norm,
        freeze_at=num_stages + 1 - trainable_layers,
        **kwargs,
    )
    found = _resolve(weights)
    if found is not None:
        _fill(body, found, backbone_name, bool(kwargs.get("stride_in_1x1", False)))
    return ResNeXtWithFPN(body, out_channels, extra_blocks or LastLevelMaxPool())


def _check_trainable_layers(trainable_layers: int, num_stages: int) -> None:
    if trainable_layers not in range(num_stages + 2):
        raise UserError(
            f"trainable_layers must be 0 … {num_stages + 1} (the last stages, then the stem); "
            f"it is {trainable_layers}"
        )


def _stage_names(returned_layers: Sequence[int] | None, num_stages: int) -> list[str]:
    known = range(1, num_stages + 1)
    layers = list(known if returned_layers is None else returned_layers)
    if not layers or layers != [layer for layer in known if layer in layers]:
        raise UserError(
            f"returned_layers must be rising numbers of 1 … {num_stages} (1 is res2); "
            f"it is {layers}"
        )
    return [f"res{layer + 1}" for layer in layers]


def _resolve(weights: str | Path | WeightsEnum | None) -> Weights | None:
    if not weights:
        return None
    if isinstance(weights, WeightsEnum):  # ResNeXt50_32X4D_Weights.X is of resnext50_32x4d
        model = type(weights).__name__.removesuffix("_Weights").lower()
        weights = f"torchvision://{model}/{weights.name}"
    try:
        return resolve_weights(str(weights))
    except UserError as error:  # its messages name the key that a config would have
        raise UserError(str(error).replace("MODEL.WEIGHTS", "weights")) from error


def _fill(body: ResNet, weights: Weights, backbone_name: str, stride_in_1x1: bool) -> None:
    theirs = infer_architecture(weights.state)
    ours = infer_architecture(body.state_dict())
    if theirs and ours and not theirs.fits(ours):
        raise UserError(f"{weights.source} is {theirs}, but {backbone_name} is {ours}")
    # Under a detector's names, which a classifier's and a detector's file both fill.
    named = nn.ModuleDict({"backbone": nn.ModuleDict({"bottom_up": body})})
    _check_norm(named, weights)
    report = load_weights(named, weights, min_share=0.0)
    lacking = (*report.missing, *report.mismatched)
    if lacking:
        raise UserError(
            f"{weights.source} does not fill {backbone_name}: {len(lacking)} tensors are not in "
            f"it or have another shape ({', '.join(lacking[:3])} …)"
        )
    if weights.convention is not None:
        _check_convention(weights.convention, weights.source, stride_in_1x1)


def _check_norm(named: nn.Module, weights: Weights) -> None:
    try:
        check_norm(named, weights)
    except UserError as error:  # its message names the key that a config would have
        raise UserError(str(error).replace("set MODEL.RESNETS.NORM", "give norm")) from error


def _check_convention(theirs: Convention, source: str, stride_in_1x1: bool) -> None:
    """Refuses what torchvision's detectors cannot feed, and says what they have to be told."""
    if theirs.stride_in_1x1 != stride_in_1x1:
        raise UserError(
            f"{source} was trained with the stride elsewhere: give "
            f"stride_in_1x1={theirs.stride_in_1x1}"
        )
    if theirs.format != "RGB":
        raise UserError(
            f"{source} was trained on {theirs.format} pixels, and torchvision's detectors feed "
            "RGB: take weights trained on RGB"
        )
    usual = torchvision_convention()
    if (theirs.mean, theirs.std) != (usual.mean, usual.std):
        mean, std = ([round(v / 255, 6) for v in pixels] for pixels in (theirs.mean, theirs.std))
        logging.getLogger(__name__).warning(
            "%s was trained on other means: give the detector image_mean=%s, image_std=%s",
            source,
            mean,
            std,
        )
