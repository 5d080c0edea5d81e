"""The networks of the libraries that weights come from, to compare outputs with. Engine-neutral.

Only those are asked that can be imported beside this package: torchvision, and timm where it is
installed. Each builds its own network, takes its own names and prepares the image itself.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from resnext_det.modeling.layout import BLOCKS_PER_STAGE
from resnext_det.weights.architecture import Architecture

_TIMM = "timm://"
_IMAGENET_STAGES = 4


class CannotBuild(ValueError):
    """The library has no such network; the text says why."""


def library_outputs(
    library: str,
    tensors: Mapping[str, Tensor],
    architecture: Architecture,
    image: np.ndarray,
    origin: str,
) -> Tensor:
    """Returns what a library's own network answers to an image.

    Args:
        library: "torchvision" or "timm".
        tensors: by the library's names, with `fc.weight` or without.
        architecture: of the tensors.
        image: (S, S, 3) uint8, RGB.
        origin: where the weights come from; `timm://NAME` tells how timm prepares images.

    Returns:
        The logits (N,); without `fc`, the mean of the last map, (C,).

    Raises:
        ImportError: it is not installed.
        CannotBuild: it has no such network, or the tensors do not fill it.
    """
    head = tensors.get("fc.weight")
    network = _BUILDERS[library](architecture, 1 if head is None else head.shape[0])
    if head is None:
        network.fc = nn.Identity()
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise CannotBuild(f"{library}'s network does not take the tensors") from error
    with torch.inference_mode():
        return network.eval()(_PREPARE[library](image, origin).unsqueeze(0))[0]


def _arguments(architecture: Architecture) -> tuple[str, list[int]]:
    """Returns the name of the block in either library, and the numbers of blocks."""
    stages = BLOCKS_PER_STAGE.get(architecture.depth, ())
    if len(architecture.blocks) != _IMAGENET_STAGES or architecture.stem != "imagenet":
        raise CannotBuild("it has no such network: not four stages behind a 7x7 stem")
    return "Bottleneck" if architecture.bottleneck else "BasicBlock", list(stages)


def _build_torchvision(architecture: Architecture, num_classes: int) -> nn.Module:
    from torchvision.models import resnet

    block, layers = _arguments(architecture)
    width = architecture.width_per_group
    return resnet.ResNet(
        getattr(resnet, block),
        layers,
        num_classes=num_classes,
        groups=architecture.num_groups,
        width_per_group=width,
    )


def _build_timm(architecture: Architecture, num_classes: int) -> nn.Module:
    from timm.models import resnet

    block, layers = _arguments(architecture)
    return resnet.ResNet(
        getattr(resnet, block),
        tuple(layers),
        num_classes=num_classes,
        cardinality=architecture.num_groups,
        base_width=architecture.width_per_group,
    )


def _prepare_torchvision(image: np.ndarray, origin: str) -> Tensor:
    from torchvision.models import ResNet50_Weights

    size = image.shape[0]
    transform = ResNet50_Weights.IMAGENET1K_V1.transforms(crop_size=size, resize_size=size)
    return transform(Image.fromarray(image))


def _prepare_timm(image: np.ndarray, origin: str) -> Tensor:
    import timm
    from timm.data import create_transform

    size = image.shape[0]
    settings: dict[str, Any] = {}
    if origin.startswith(_TIMM):
        config = timm.get_pretrained_cfg(origin.removeprefix(_TIMM), allow_unregistered=False)
        settings = {} if config is None else {"mean": config.mean, "std": config.std}
    transform: Any = create_transform(input_size=size, crop_pct=1.0, **settings)
    return transform(Image.fromarray(image))


_BUILDERS: Mapping[str, Callable[[Architecture, int], nn.Module]] = {
    "torchvision": _build_torchvision,
    "timm": _build_timm,
}
_PREPARE: Mapping[str, Callable[[np.ndarray, str], Tensor]] = {
    "torchvision": _prepare_torchvision,
    "timm": _prepare_timm,
}
LIBRARIES = tuple(_BUILDERS)
