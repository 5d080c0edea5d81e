"""State dicts of other libraries with random numbers, statistics included. Engine-neutral."""

import pytest
import torch
from torch import nn


def _randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Gives every BatchNorm statistics and gains that a mix-up would show."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5, generator=generator)
            for tensor in (module.bias.data, module.running_mean):
                tensor.uniform_(-0.2, 0.2, generator=generator)
    return model.eval()


@pytest.fixture
def randomise():
    return _randomise
