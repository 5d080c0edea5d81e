"""Puts a setting into effect on a detector that has been trained. Portable."""

from copy import deepcopy
from typing import Any

import torch
from torch import nn

from resnext_det.acceleration.ability import check_acceleration
from resnext_det.acceleration.detector import FastDetector, Float32Pooler, LoweredHead
from resnext_det.acceleration.fused_conv import FusedConv, can_fold
from resnext_det.acceleration.fused_network import FusedBoxHead, FusedRPNHead, fuse_fpn
from resnext_det.acceleration.gpu_pooling import GpuRoIPooler
from resnext_det.acceleration.pooling import FastRoIPooler
from resnext_det.acceleration.recorded import RecordedDetector
from resnext_det.acceleration.setting import EXACT, Acceleration, check_for_inference
from resnext_det.acceleration.winograd import use_winograd
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.errors import UserError
from resnext_det.training.memory import keep_memory

_LOWERED = (nn.Conv2d, nn.Linear, nn.GroupNorm, FusedConv)
"""Layers whose numbers are of the features' precision; those of BatchNorm stay float32."""


def accelerate(model: nn.Module, setting: Acceleration) -> nn.Module:
    """Returns what answers like a trained detector, and faster.

    Args:
        model: the portable engine's, in evaluation mode, on its device. It stays as it is, and
            shares no weights with the result, which keeps those in a form of its own.
        setting: `EXACT` gives back the model itself.

    Raises:
        UserError: the device lacks something, the setting has a switch of training alone, or the
            model is another engine's.
    """
    if setting == EXACT:
        return model
    if not isinstance(model, FasterRCNN):
        raise UserError(
            f"acceleration {setting.words()!r}: is for the portable engine's detector, not for "
            f"{type(model).__name__}: give --engine portable, or exact"
        )
    check_for_inference(setting)
    check_acceleration(setting, model.pixel_mean.device, "inference")
    if setting.keep_memory:
        keep_memory()
    copied = deepcopy(model).eval()
    for parameter in copied.parameters():
        parameter.requires_grad = False
    return _fast(copied, setting)


def _fast(model: FasterRCNN, setting: Acceleration) -> nn.Module:
    """Replaces the parts of a detector that is this function's own."""
    dtype: torch.dtype = getattr(torch, setting.precision)
    rpn, heads = model.proposal_generator, model.roi_heads
    # As modules of other classes that answer alike, under the same names.
    if setting.fold_norms:
        _fuse(model, setting)
    for owner, name in ((model, "backbone"), (rpn, "rpn_head"), (heads, "box_head")):
        part = owner.get_submodule(name)
        _lower(part, dtype)
        if setting.channels_last:
            options: dict[str, Any] = {"memory_format": torch.channels_last}
            part.to(**options)
        if setting.compile and name != "box_head":
            owner.add_module(name, _compiled(part))
    heads.add_module("box_head", LoweredHead(heads.box_head, dtype))
    pooler = heads.box_pooler
    if setting.fast_pooling:
        kind = FastRoIPooler if model.pixel_mean.device.type == "cpu" else GpuRoIPooler
        heads.box_pooler = kind.of(pooler)
    if setting.cuda_graphs:
        return RecordedDetector(model)
    if not setting.fast_pooling and dtype != torch.float32:
        heads.box_pooler = Float32Pooler(pooler.output_size, pooler.strides, pooler.sampling_ratio)
    layout = torch.channels_last if setting.channels_last else torch.contiguous_format
    return FastDetector(model, dtype=dtype, memory_format=layout)


def _fuse(model: FasterRCNN, setting: Acceleration) -> None:
    rpn, heads, in_one = model.proposal_generator, model.roi_heads, not setting.compile
    model.add_module("backbone", fuse_fpn(model.backbone, in_one=in_one))
    rpn.add_module("rpn_head", FusedRPNHead(rpn.rpn_head, in_one=in_one))
    if all(can_fold(layer) for layer in heads.box_head if isinstance(layer, nn.Conv2d)):
        head = FusedBoxHead(
            heads.box_head,
            heads.box_pooler.output_size,
            pixels_first=setting.fast_pooling,
            in_one=in_one,
        )
        heads.add_module("box_head", head)
    if setting.winograd:
        for part in (model.backbone, rpn.rpn_head):
            use_winograd(part)


def _lower(part: nn.Module, dtype: torch.dtype) -> None:
    for layer in part.modules():
        if isinstance(layer, _LOWERED):
            for tensor in (*layer.parameters(recurse=False), *layer.buffers(recurse=False)):
                tensor.data = tensor.data.to(dtype)


def _compiled(part: nn.Module) -> nn.Module:
    result = torch.compile(part)
    assert isinstance(result, nn.Module)
    return result
