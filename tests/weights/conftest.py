"""Other libraries' state dicts with random numbers, and caches of no user's. Engine-neutral."""

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


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """The cache's folder; no test sees another's, or those of the user's libraries."""
    names = {"RESNEXT_DET_CACHE": "cache", "TORCH_HOME": "torch", "FVCORE_CACHE": "iopath"}
    for variable, folder in names.items():
        monkeypatch.setenv(variable, str(tmp_path / folder))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)  # what torch.hub.set_dir may have set
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for variable in ("RESNEXT_DET_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache" / "weights"
