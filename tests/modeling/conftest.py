"""Random weights that keep activations near 1, in torchvision's networks and in ours."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def randomise() -> Callable[[nn.Module, int], nn.Module]:
    """Gives a network calibrated, then disturbed, BatchNorm values; see `_randomise`."""
    return _randomise


@pytest.fixture
def to_our_names() -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """Renames torchvision's ResNet keys, independently of the package's weight import."""
    return _to_our_names


def _randomise(network: nn.Module, image_size: int = 128) -> nn.Module:
    """Sets running statistics to those of noise images, then moves all BatchNorm values.

    Uncalibrated statistics let He-initialised activations grow without bound with depth, and
    untouched ones would hide a swap of mean and bias. Leaves the network in eval mode.
    """
    generator = torch.Generator().manual_seed(1)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 0.5, 1.0, generator=generator)
        nn.init.normal_(norm.bias, std=0.1, generator=generator)
    with torch.no_grad():
        network.train()(torch.randn(4, 3, image_size, image_size, generator=generator))
        for norm in norms:
            norm.momentum = 0.1
            noise = torch.randn(norm.num_features, generator=generator)
            norm.running_mean += 0.1 * noise * norm.running_var.sqrt()
            norm.running_var *= torch.empty_like(noise).uniform_(0.8, 1.25, generator=generator)
    return network.eval()


def _to_our_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    rules = (
        (r"^(conv1|bn1)", r"stem.\1"),
        (r"layer(\d)", lambda match: f"res{int(match[1]) + 1}"),
        (r"bn(\d)", r"conv\1.norm"),
        (r"downsample\.0", "shortcut"),
        (r"downsample\.1", "shortcut.norm"),
        (r"^fc", "linear"),
    )
    renamed = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed
