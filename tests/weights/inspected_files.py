"""Small weights files of several sources, with numbers that look trained. Engine-neutral."""

import torch
import torchvision
from safetensors.torch import save_file

from resnext_det.weights.convention import torchvision_convention
from resnext_det.weights.reference import reference_outputs
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import header_entries, with_digest
from resnext_det.weights.sources import weights_from_state

CLASSES = ("cat", "dog", "owl", "elk", "emu")


def trained(model, seed=0):
    """Gives every tensor numbers as training leaves them: none at its start."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5, generator=generator)
            for tensor in (module.bias.data, module.running_mean):
                tensor.uniform_(-0.2, 0.2, generator=generator)
        if isinstance(module, torch.nn.Linear):
            module.weight.data.normal_(0.0, 0.05, generator=generator)
            module.bias.data.normal_(0.0, 0.1, generator=generator)
    return model.eval()


def torchvision_state(seed=0, num_classes=5):
    """Returns the state dict of torchvision's ResNet-18."""
    torch.manual_seed(seed)
    return trained(torchvision.models.resnet18(num_classes=num_classes), seed).state_dict()


def write_ours(path, state, **facts):
    """Writes our safetensors file with a side-car that keeps outputs; returns the side-car."""
    weights = weights_from_state(state, "x", SideCar(convention=torchvision_convention()))
    side_car = SideCar(
        **{
            "origin": "torchvision://resnet18/IMAGENET1K_V1",
            "naming": "torchvision",
            "architecture": "resnet18",
            "convention": torchvision_convention(),
            "licence": "BSD-3-Clause",
            "accuracy": {"top1": 69.758},
            "class_names": CLASSES,
            "outputs": reference_outputs(weights),
            **facts,
        }
    )
    if not facts.get("sha256"):
        side_car = with_digest(side_car, weights.state)
    save_file({k: v.contiguous() for k, v in weights.state.items()}, path, header_entries(side_car))
    return side_car
