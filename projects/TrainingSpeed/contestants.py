"""The networks whose training steps are timed, and one step of theirs. Engine-neutral."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from projects.TrainingSpeed.options import PLAIN, Setting
from projects.TrainingSpeed.packing import pack_groups
from resnext_det import build_classifier
from resnext_det.config import load_config
from resnext_det.training.optimizer import build_optimizer

RECIPE = "resnext_det://ImageNet-Classification/X_50_32x4d.yaml"
NUM_CLASSES = 1000
Step = Callable[[], None]


def torchvision_model(name: str) -> nn.Module:
    """Builds torchvision's network, with random weights."""
    from torchvision.models import get_model

    return get_model(name, weights=None)


def timm_model(name: str) -> nn.Module:
    """Builds timm's network, with random weights.

    Raises:
        ModuleNotFoundError: timm, an extra, is not installed.
    """
    import timm

    return timm.create_model(name)


NETS: dict[str, Callable[[], nn.Module]] = {
    "ResNeXt-50 32x4d, ours": lambda: build_classifier("resnext50_32x4d"),
    "ResNet-50, ours": lambda: build_classifier("resnet50"),
    "ResNeXt-50 32x4d, torchvision": lambda: torchvision_model("resnext50_32x4d"),
    "ResNet-50, torchvision": lambda: torchvision_model("resnet50"),
    "ResNeXt-50 32x4d, timm": lambda: timm_model("resnext50_32x4d"),
    "ResNet-50, timm": lambda: timm_model("resnet50"),
}
OURS, OUR_RESNET = list(NETS)[:2]


@dataclass(frozen=True)
class Work:
    """Size of the work: one step trains on `batch` images of `size` pixels on `device`."""

    batch: int
    size: int
    device: str


@dataclass(frozen=True)
class Contestant:
    """A net of NETS, and how its step is computed."""

    net: str = OURS
    setting: Setting = PLAIN

    def build(self, work: Work) -> Step:
        """Builds the network and returns its training step, which has not run yet."""
        torch.manual_seed(0)
        setting, device = self.setting, torch.device(work.device)
        model = NETS[self.net]()
        if setting.pack > 1:
            pack_groups(model, setting.pack)
        layout = torch.channels_last if setting.channels_last else torch.contiguous_format
        model = model.to(device).to(memory_format=layout).train()
        images = torch.randn(work.batch, 3, work.size, work.size, device=device)
        labels = torch.randint(NUM_CLASSES, (work.batch,), device=device)
        step = training_step(model, images.contiguous(memory_format=layout), labels, setting)
        return recorded(step) if setting.cuda_graph else step


def training_step(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, setting: Setting
) -> Step:
    """Returns forward pass, cross-entropy, backward pass and update by the recipe's SGD.

    Args:
        model: in training mode, on the images' device.
        images: (N, 3, H, W) float32.
        labels: (N,) int64.
        setting: of which the numbers and torch.compile are looked at here.
    """
    optimizer = build_optimizer(load_config(RECIPE).cfg, model)
    forward = torch.compile(model) if setting.compile else model

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=setting.bf16):
            loss = functional.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()

    return step


@functools.cache
def _graph_memory() -> Any:
    return torch.cuda.graph_pool_handle()


def recorded(step: Step, warm_up: int = 3) -> Step:
    """Records a step as a CUDA graph, and returns what replays it.

    It is run on a stream of its own first, as PyTorch asks for (notes/cuda, "Whole-network
    capture"). All graphs share memory: none leaves anything there that is read after it.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(warm_up):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=_graph_memory()):
        step()
    return graph.replay
