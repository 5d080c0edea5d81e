"""The networks whose training steps are timed, and one step of theirs. Engine-neutral."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import nn

from projects.TrainingSpeed.options import PLAIN, Setting
from projects.TrainingSpeed.packing import pack_groups
from resnext_det import build_classifier
from resnext_det.classification.device_batch import build_device_batch
from resnext_det.classification.losses import classification_losses
from resnext_det.config import load_config, with_values
from resnext_det.data.classification_batch import ClassificationBatch
from resnext_det.training.acceleration import compiled, in_layout, set_cudnn
from resnext_det.training.optimizer import build_optimizer
from resnext_det.training.passes import Passes
from resnext_det.training.precision import build_precision

RECIPE = "resnext_det://ImageNet-Classification/X_50_32x4d_paper.yaml"
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
        cfg, device = config(self.setting, work.device), torch.device(work.device)
        set_cudnn(cfg)
        model = NETS[self.net]()
        if self.setting.pack > 1:
            pack_groups(model, self.setting.pack)
        model = in_layout(cfg, model.to(device)).train()
        step = training_step(cfg, model, drawn_batch(cfg, work))
        return recorded(step) if self.setting.cuda_graph else step


def config(setting: Setting, device: str) -> CfgNode:
    """Returns the recipe with the keys that a user would set."""
    keys = {
        "MODEL.DEVICE": device,
        "SOLVER.AMP.ENABLED": setting.bf16,
        "SOLVER.AMP.DTYPE": "bfloat16",
        "SOLVER.CHANNELS_LAST": setting.channels_last,
        "SOLVER.COMPILE": setting.compile,
        "CUDNN_BENCHMARK": setting.cudnn_benchmark,
    }
    return with_values(load_config(RECIPE).cfg, keys)


def drawn_batch(cfg: CfgNode, work: Work) -> ClassificationBatch:
    """Draws pixels and labels, on the device."""
    shape = (work.batch, 3, work.size, work.size)
    images = torch.randint(256, shape, dtype=torch.uint8)
    labels = torch.randint(cfg.MODEL.CLASSIFIER.NUM_CLASSES, (work.batch,))
    batch = ClassificationBatch(images, labels, torch.arange(work.batch))
    return batch.to(torch.device(work.device))


def training_step(cfg: CfgNode, model: nn.Module, batch: ClassificationBatch) -> Step:
    """Returns normalising, forward pass, loss, backward pass and update: the trainer's parts.

    Args:
        cfg: the recipe.
        model: in training mode.
        batch: on the model's device.
    """
    device = batch.images.device
    losses = classification_losses(cfg.SOLVER.LABEL_SMOOTHING, build_device_batch(cfg, device))
    passes = Passes(losses, precision=build_precision(cfg, device))
    optimizer = build_optimizer(cfg, model)
    forward = compiled(cfg, model)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        passes.backward(forward, batch)
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
