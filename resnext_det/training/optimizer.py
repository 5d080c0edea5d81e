"""SGD with Detectron2's parameter groups, and gradient clipping. Engine-neutral."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.errors import UserError

GradientClipper = Callable[[], None]

_NORM_LAYERS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.LayerNorm,
    nn.LocalResponseNorm,
)


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.SGD:
    """Builds SGD whose groups carry Detectron2's learning rates and weight decays.

    Each group keeps its rate at the start as `initial_lr`, which the schedule multiplies.

    Raises:
        UserError: no parameter of the model is trainable.

    Source: detectron2/solver/build.py (grouping and the order of the groups).
    """
    groups = parameter_groups(cfg, model)
    if not groups:
        raise UserError("no parameter is trainable: lower MODEL.BACKBONE.FREEZE_AT")
    return torch.optim.SGD(
        groups,
        lr=cfg.SOLVER.BASE_LR,
        momentum=cfg.SOLVER.MOMENTUM,
        nesterov=cfg.SOLVER.NESTEROV,
        weight_decay=cfg.SOLVER.WEIGHT_DECAY,
        foreach=True,
    )


def parameter_groups(cfg: CfgNode, model: nn.Module) -> list[dict[str, Any]]:
    """Gathers trainable parameters by their (lr, weight decay), in order of appearance.

    Norm layers take WEIGHT_DECAY_NORM; anything called `bias` takes BIAS_LR_FACTOR and,
    where it is set, WEIGHT_DECAY_BIAS, also inside norm layers. A shared parameter
    counts where it appears first.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for module, name, parameter in _trainable_parameters(model):
        key = _rate_and_decay(cfg.SOLVER, module, name)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "lr": lr, "initial_lr": lr, "weight_decay": decay}
        for (lr, decay), parameters in groups.items()
    ]


def build_gradient_clipper(cfg: CfgNode, model: nn.Module) -> GradientClipper | None:
    """Returns what clips the gradients before a step, or None when SOLVER says so.

    As in Detectron2, each parameter's gradient is clipped by itself, never the
    whole model's norm.

    Raises:
        UserError: SOLVER.CLIP_GRADIENTS.CLIP_TYPE is neither value nor norm.
    """
    clip = cfg.SOLVER.CLIP_GRADIENTS
    if not clip.ENABLED:
        return None
    if clip.CLIP_TYPE not in ("value", "norm"):
        raise UserError(
            f"SOLVER.CLIP_GRADIENTS.CLIP_TYPE is {clip.CLIP_TYPE!r}: use 'value' or 'norm'"
        )
    parameters = [p for p in model.parameters() if p.requires_grad]

    def clip_each() -> None:
        for parameter in parameters:
            if parameter.grad is None:  # a head that saw no object; torch refuses an empty list
                continue
            if clip.CLIP_TYPE == "value":
                nn.utils.clip_grad_value_(parameter, clip.CLIP_VALUE)
            else:
                nn.utils.clip_grad_norm_(parameter, clip.CLIP_VALUE, clip.NORM_TYPE)

    return clip_each


def _trainable_parameters(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    seen: set[nn.Parameter] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in seen:
                seen.add(parameter)
                yield module, name, parameter


def _rate_and_decay(solver: CfgNode, module: nn.Module, name: str) -> tuple[float, float]:
    lr, decay = solver.BASE_LR, solver.WEIGHT_DECAY
    if isinstance(module, _NORM_LAYERS) and solver.WEIGHT_DECAY_NORM is not None:
        decay = solver.WEIGHT_DECAY_NORM
    if name == "bias":
        lr *= solver.BIAS_LR_FACTOR
        if solver.WEIGHT_DECAY_BIAS is not None:
            decay = solver.WEIGHT_DECAY_BIAS
    return lr, decay
