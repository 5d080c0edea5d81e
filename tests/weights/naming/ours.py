"""Our network with any weights, and its answer to the golden files' image. Engine-neutral."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnext_det.modeling import build_classifier
from resnext_det.modeling.classifier import Classifier
from resnext_det.weights.load import load_weights, require_head
from resnext_det.weights.sources import Weights
from tests.weights.naming.foreign import CLASSES, scene

CLOSE = 1e-5  # of the largest logit


def answer(weights: Weights, network: str) -> Tensor:
    """(CLASSES,) logits; every tensor of the network is filled, or the load fails.

    Args:
        weights: with their convention, which says how the image comes and where stages stride.
        network: a variant's name, with "_" and more behind it.
    """
    assert weights.convention is not None
    model = _build(network, stride_in_1x1=weights.convention.stride_in_1x1)
    report = load_weights(model, weights, min_share=1.0)
    require_head(report)
    assert not report.unexpected
    pixels = scene() if weights.convention.format == "RGB" else scene()[::-1]
    mean, std = (
        np.asarray(values).reshape(3, 1, 1)
        for values in (weights.convention.mean, weights.convention.std)
    )
    image = torch.from_numpy((pixels - mean) / std).float()
    with torch.no_grad():
        return model.eval()(image[None])[0]


def assert_close(found: Tensor, expected: Any) -> None:
    expected = torch.as_tensor(expected)
    assert (found - expected).abs().max() <= CLOSE * expected.abs().max()


def _build(network: str, **kwargs: Any) -> Classifier:
    if network.endswith("_cifar"):
        return Classifier(depth=18, stem="cifar", num_classes=CLASSES)
    variant = "_".join(part for part in network.split("_") if part[-1] == "d" or "res" in part)
    return build_classifier(variant, CLASSES, **kwargs)
