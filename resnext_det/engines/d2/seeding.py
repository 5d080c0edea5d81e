"""Anchors and regions drawn from each image's own seed in Detectron2's models. Detectron2."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import torch
from detectron2.modeling.proposal_generator.rpn import RPN
from detectron2.modeling.roi_heads import ROIHeads
from torch import nn

from resnext_det.seeding import ANCHORS, REGIONS, draw_seed

SAMPLING_SEED: Final = "sampling_seed"
"""Key of an input dict: what `seeding.image_seed` gave. Without it nothing is seeded."""


def seed_draws(model: nn.Module) -> nn.Module:
    """Makes a detector draw each image's anchors and regions from that image's seed.

    Detectron2 calls one method per image and stage, in the order of the inputs; torch is
    seeded before each call. Neither parameters nor their names change, and a deep copy of the
    model seeds itself. Models without such draws (RetinaNet, FCOS) are left as they are.

    Args:
        model: what Detectron2's `build_model` or `instantiate` returned.

    Returns:
        The model.
    """
    draws = []
    for part in model.modules():
        if isinstance(part, RPN):
            draws.append(_replace(part, "_subsample_labels", ANCHORS))
        elif isinstance(part, ROIHeads):
            draws.append(_replace(part, "_sample_proposals", REGIONS))
    if draws:
        model.register_forward_pre_hook(_HandOutSeeds(draws))
    return model


class _SeededDraw:
    """A method that is called once per image, seeded before each call.

    Args:
        draw: the method of the model's part.
        stream: of `resnext_det.seeding`.
    """

    def __init__(self, draw: Callable[..., Any], stream: int) -> None:
        self.draw, self.stream = draw, stream
        self.seeds: Iterator[int | None] = iter(())

    def __call__(self, *args: Any) -> Any:
        seed = next(self.seeds, None)
        if seed is not None:
            torch.manual_seed(draw_seed(seed, self.stream))
        return self.draw(*args)


class _HandOutSeeds:
    """A forward pre-hook of the whole model: gives each draw the seeds of the images."""

    def __init__(self, draws: Sequence[_SeededDraw]) -> None:
        self.draws = draws

    def __call__(self, model: nn.Module, args: tuple[Any, ...]) -> None:
        for draw in self.draws:
            draw.seeds = iter([sample.get(SAMPLING_SEED) for sample in args[0]])


def _replace(part: nn.Module, name: str, stream: int) -> _SeededDraw:
    draw = _SeededDraw(getattr(part, name), stream)
    setattr(part, name, draw)  # on this instance; its class stays Detectron2's
    return draw
