"""A small trainable model and config for the training tests. Engine-neutral."""

import pytest
import torch
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.config import get_cfg


class TinyNet(nn.Module):
    """One layer of each kind that the optimizer treats in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.GroupNorm(2, 4)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.fc = nn.Linear(4, 2)
        self.shared = self.fc

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(x)).relu().mean((2, 3))
        return self.fc(x + torch.rand_like(x))  # a draw, as in the detector's samplers


class NormNet(nn.Module):
    """A layer with running statistics, and one that drops out."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(dropout)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.drop(self.norm(self.conv(x)).relu().mean((2, 3))))


@pytest.fixture
def tiny_net() -> TinyNet:
    torch.manual_seed(0)
    return TinyNet()


@pytest.fixture
def norm_net() -> NormNet:
    torch.manual_seed(0)
    return NormNet()


@pytest.fixture
def cfg(tmp_path) -> CfgNode:
    cfg = get_cfg()
    cfg.SEED = 3
    cfg.OUTPUT_DIR = str(tmp_path / "run")
    cfg.SOLVER.update({"MAX_ITER": 10, "STEPS": [6, 8], "WARMUP_ITERS": 3, "BASE_LR": 0.1})
    return cfg


@pytest.fixture(autouse=True)
def _tidy(no_handlers_left):
    """Runs log into folders that are gone after the test."""
