"""What our network answers to a reference image, with given weights. Engine-neutral.

The image comes from a formula in whole numbers, so that it is the same everywhere, to the bit, and
no file is needed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnext_det.modeling.norms import FrozenBatchNorm2d
from resnext_det.weights.architecture import Architecture, infer_architecture
from resnext_det.weights.convention import Convention
from resnext_det.weights.heads import infer_head
from resnext_det.weights.naming.detectron2 import backbone_ending
from resnext_det.weights.sources import Weights

FORMULA = "triangles-1"  # another image gets another name
TOLERANCE = 1e-4  # of the largest output: float32 sums in other orders differ by a tenth of it
_NUM_VALUES = 8  # outputs that are kept; the norm stands for the rest
_IMAGE_SIZES = {"imagenet": 224, "cifar": 32}
_SAME_OUTPUTS = {"BN": "FrozenBN", "GN": "GN", "": ""}  # FrozenBN takes folded BatchNorm, too
# For red, green, blue: steps of two waves along y and x.
_STEPS = (((3, 7), (11, 2)), ((5, 4), (1, 13)), ((9, 1), (6, 5)))


class CannotRun(ValueError):
    """Weights that our network cannot be filled with; the text says why."""


def reference_image(size: int) -> np.ndarray:
    """Returns the reference image: (size, size, 3) uint8, RGB.

    Each channel is the mean of two triangle waves between 0 and 255, rounded down: with steps a
    along y and b along x, a wave is |(a y + b x) mod 510 - 255|. No channel is like another, or
    like itself transposed or mirrored, so a mix-up shows.
    """
    y, x = np.mgrid[:size, :size].astype(np.int64)
    waves = [[abs((a * y + b * x) % 510 - 255) for a, b in channel] for channel in _STEPS]
    return np.stack([(first + second) // 2 for first, second in waves], axis=-1).astype(np.uint8)


def normalised_input(image: np.ndarray, convention: Convention) -> Tensor:
    """Returns what weights of a convention take: (1, 3, H, W) float32.

    Args:
        image: (H, W, 3) uint8, RGB.
        convention: of the weights.
    """
    pixels = torch.from_numpy(image).permute(2, 0, 1).float()  # (3, H, W)
    if convention.format == "BGR":
        pixels = pixels.flip(0)
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (convention.mean, convention.std))
    return ((pixels - mean) / std).unsqueeze(0)


def image_size_of(architecture: Architecture) -> int:
    """Returns the side in pixels of the reference image for a network."""
    return _IMAGE_SIZES[architecture.stem]


def compute_outputs(weights: Weights, image_size: int | None = None) -> tuple[str, Tensor]:
    """Runs the reference image through our network, filled with weights.

    Args:
        weights: of a classifier, a backbone or a detector, whose backbone is run.
        image_size: in pixels; that of the network by default.

    Returns:
        "logits" and (N,) of them; or, without a linear layer, the last stage's name and the mean
        of its map over all places, (C,).

    Raises:
        CannotRun: it is more than a plain ResNet or ResNeXt, lacks tensors, or nobody knows how
            its images were normalised.
    """
    if weights.convention is None:
        raise CannotRun("nobody knows how its images were normalised")
    architecture = infer_architecture(weights.state)
    network = filled_network(weights)
    assert architecture is not None
    size = image_size or image_size_of(architecture)
    images = normalised_input(reference_image(size), weights.convention)
    with torch.inference_mode():
        features = network(images)
    if "linear" in features:
        return "logits", features["linear"][0]
    name, maps = list(features.items())[-1]
    return name, maps.mean(dim=(2, 3))[0]


def reference_outputs(weights: Weights) -> dict[str, Any]:
    """Returns what a side-car keeps as `outputs`, plain numbers and strings; {} if there are none.

    Its entries: `formula` of the image, `image_size` (pixels), `what` was computed ("logits",
    or the stage whose map was averaged), `count` of the outputs, the first `values`, the
    Euclidean `norm` of all, the `largest` of them (absolute), and the `tolerance`, a share of it.
    """
    architecture = infer_architecture(weights.state)
    try:
        what, outputs = compute_outputs(weights)
    except CannotRun:
        return {}
    if architecture is None or not torch.isfinite(outputs).all():
        return {}
    return {
        "formula": FORMULA,
        "image_size": image_size_of(architecture),
        "what": what,
        "tolerance": TOLERANCE,
        **summary_of(outputs),
    }


def summary_of(outputs: Tensor) -> dict[str, Any]:
    """Returns the count, the first values, the norm and the largest of outputs (N,)."""
    return {
        "count": outputs.numel(),
        "values": [float(value) for value in outputs[:_NUM_VALUES]],
        "norm": float(outputs.double().norm()),
        "largest": float(outputs.abs().max()),
    }


def filled_network(weights: Weights) -> nn.Module:
    """Builds the network that weights are of, fills it, and sets it to evaluate.

    Raises:
        CannotRun: it is more than a plain ResNet or ResNeXt, or lacks tensors.
    """
    architecture = infer_architecture(weights.state)
    if architecture is None:
        raise CannotRun("it is no ResNet or ResNeXt that is known here")
    head = infer_head(weights.state)
    convention = weights.convention
    network = architecture.build(
        norm=_SAME_OUTPUTS[architecture.norm],
        stride_in_1x1=convention is not None and convention.stride_in_1x1,
        num_classes=head.num_classes if head.kind == "classifier" else None,
    )
    if network is None:
        parts = f" (it has {', '.join(architecture.special)})" if architecture.special else ""
        raise CannotRun(f"it is no plain ResNet or ResNeXt{parts}")
    state = _named_as_network(weights.state)
    try:
        lacking = network.load_state_dict(state, strict=False).missing_keys
    except RuntimeError as error:
        raise CannotRun("some of its tensors have other shapes than the network's") from error
    if lost := [key for key in lacking if not key.endswith("num_batches_tracked")]:
        raise CannotRun(f"{len(lost)} of the network's tensors are not in it ({lost[0]} …)")
    _set_epsilon(network, weights.side_car.norm_eps)
    return network.eval()


def _named_as_network(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Takes a detector's prefixes off; a C4 detector's res5 stands in its head."""
    named: dict[str, Tensor] = {}
    for key, value in state.items():
        ending = key if key.startswith("linear.") else backbone_ending(key)
        if ending is None:
            continue
        if ending in named:
            raise CannotRun(f"it has two backbones ({key})")
        named[ending] = value
    return named


def _set_epsilon(network: nn.Module, eps: float | None) -> None:
    for module in network.modules():
        if eps is not None and isinstance(module, FrozenBatchNorm2d | nn.GroupNorm):
            module.eps = eps
