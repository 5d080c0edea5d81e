"""Weights for a detector that nobody has trained, under which it finds boxes. Engine-neutral.

As initialised, under frozen norms, activations grow without bound and no score reaches the
threshold, so that there is nothing to suppress and nothing to compare. Here BatchNorm's statistics
are an image's own, and the scores of anchors and classes are spread as a trained detector's.
"""

from typing import Any

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from resnext_det.config import with_values
from resnext_det.data.opened_image import Pixels
from resnext_det.data.transforms import resize_image
from resnext_det.engines.base import Engine

_ANCHORS, _CLASSES = "proposal_generator.rpn_head.objectness_logits", "cls_score"
_SPREAD = 2.0
"""Standard deviation of the logits over anchors, and over boxes for each class."""
_LEAST_SIDE = 512
"""Pixels of the image that statistics are taken from."""
_BRANCH = 0.25
"""Scale of what a residual branch adds: a trained network's are small, and under branches as large
as their input, rounding grows from block to block."""
_FOREGROUND = 0.2
"""Share of the boxes whose best class is likelier than the background."""


@torch.no_grad()
def drawn_states(
    engine: Engine, cfg: CfgNode, image: Pixels
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Draws the weights of a detector, the same ones every time.

    Args:
        engine: builds the model.
        cfg: of the detector; its norms may be frozen.
        image: (H, W, 3) uint8 RGB, that the statistics are taken from.

    Returns:
        All weights with heads as they are initialised, and with heads whose scores are spread; on
        the CPU, by Detectron2's names.
    """
    keys = {"MODEL.BACKBONE.FREEZE_AT": 0, "MODEL.DEVICE": "cpu"}
    if cfg.MODEL.RESNETS.NORM in ("FrozenBN", "SyncBN"):
        keys["MODEL.RESNETS.NORM"] = "BN"
    cfg = with_values(cfg, keys)
    generator = torch.random.get_rng_state()
    torch.manual_seed(0)
    model: Any = engine.build_model(cfg)
    torch.random.set_rng_state(generator)
    _take_statistics(model, normalised(cfg, _enlarged(image)))
    initial = {key: value.clone() for key, value in model.state_dict().items()}
    predict = engine.build_predictor(model.eval(), cfg)
    for name in (_ANCHORS, _CLASSES):  # one after the other: boxes come from anchors
        for layer in _layers(model, name):
            _spread(layer, lambda: predict([image]), background=name == _CLASSES)
    return initial, model.state_dict()


def _enlarged(image: Pixels) -> Pixels:
    """Scales a small image up, whose last maps have too few places for a statistic."""
    height, width = image.shape[:2]
    factor = max(1.0, _LEAST_SIDE / min(height, width))
    return resize_image(image, round(factor * height), round(factor * width))


def normalised(cfg: CfgNode, image: Pixels) -> Tensor:
    """Returns an image as the backbone takes it, (1, 3, H, W), zeros to a multiple of 32."""
    pixels = torch.tensor(np.ascontiguousarray(image)).permute(2, 0, 1).float()
    if cfg.INPUT.FORMAT == "BGR":
        pixels = pixels.flip(0)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD))
    height, width = pixels.shape[1:]
    below, beside = -height % 32, -width % 32
    return nn.functional.pad((pixels - mean) / std, (0, beside, 0, below))[None]


def _take_statistics(model: Any, image: Tensor) -> None:
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    for norm in _last_norms(model):
        norm.weight.fill_(_BRANCH)
    model.backbone.train()(image)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _last_norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    """Returns the norm at the end of each residual branch."""
    modules = dict(model.named_modules())
    found = []
    for path, norm in modules.items():
        block, _, name = path.rpartition(".conv")
        last = "3.norm" if f"{block}.conv3" in modules else "2.norm"
        if name == last and isinstance(norm, nn.BatchNorm2d):
            found.append(norm)
    return found


def _layers(model: nn.Module, name: str) -> list[Any]:
    """Returns the layers of that name; none in a detector of another kind."""
    return [layer for path, layer in model.named_modules() if f".{path}".endswith(f".{name}")]


def _spread(layer: Any, run: Any, *, background: bool) -> None:
    """Scales and moves a layer so that each of its outputs has mean 0 and the spread."""
    seen: list[Tensor] = []
    handle = layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    run()
    handle.remove()
    outputs = torch.cat([_samples(output) for output in seen]) - layer.bias
    factor = _SPREAD / outputs.std(0).clamp(min=1e-12)  # (outputs,)
    layer.weight.mul_(factor.view(-1, *[1] * (layer.weight.dim() - 1)))
    layer.bias.copy_(-outputs.mean(0) * factor)
    if background:
        best = (outputs * factor + layer.bias)[:, :-1].amax(1)
        layer.bias[-1] += torch.quantile(best, 1 - _FOREGROUND)


def _samples(output: Tensor) -> Tensor:
    """Returns (samples, outputs): of a convolution's maps, each place is a sample."""
    return output.movedim(1, -1).flatten(0, -2) if output.dim() == 4 else output
