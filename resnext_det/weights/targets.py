"""What weights can be written as: names, convention and form of file. Engine-neutral."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from resnext_det.errors import UserError
from resnext_det.weights.choices import TARGET_NAMES
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.detectron2_files import AUTHOR, detectron2_pkl
from resnext_det.weights.naming.base import Naming
from resnext_det.weights.naming.detectron2 import DETECTRON2
from resnext_det.weights.naming.mmpretrain import MMPRETRAIN
from resnext_det.weights.naming.pycls import PYCLS, pycls_convention
from resnext_det.weights.naming.torchvision import TORCHVISION
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import header_entries

# Tensors by the target's names, and their side-car -> the bytes of a file.
Write = Callable[[Mapping[str, Tensor], SideCar], bytes]


@dataclass(frozen=True)
class Target:
    """One thing that weights can be written as.

    Attributes:
        name: as `--to` has it.
        naming: whose names the tensors get.
        convention: what its library feeds all its networks; None where the user of the file
            sets it, by the side-car.
        whole_detectors: it has names for detectors, not only for classifiers and backbones.
        keeps_any_norm: GroupNorm and folded BatchNorm have a place in it.
        has_bfloat16: its files hold that type; else float32 stands in.
        forms: suffix of the file -> how it is written.
    """

    name: str
    naming: Naming
    convention: Convention | None
    whole_detectors: bool = False
    keeps_any_norm: bool = False
    has_bfloat16: bool = True
    forms: Mapping[str, Write] = field(default_factory=dict)

    def write_for(self, suffix: str) -> Write:
        """Returns how a file of that suffix is written.

        Raises:
            UserError: this target has no such files.
        """
        if suffix not in self.forms:
            raise UserError(
                f"--to {self.name} writes {' or '.join(self.forms)}, not {suffix or 'no suffix'}: "
                f"name the file NAME{next(iter(self.forms))}"
            )
        return self.forms[suffix]

    def as_stored(self, tensor: Tensor) -> Tensor:
        """Returns a tensor of a type that its files have."""
        in_bfloat16 = tensor.dtype == torch.bfloat16
        return tensor.float() if in_bfloat16 and not self.has_bfloat16 else tensor


def find_target(name: str) -> Target:
    """Returns the target of that name.

    Raises:
        UserError: there is none.
    """
    if name not in TARGETS:
        raise UserError(f"--to {name}: no such target: choose one of {', '.join(TARGETS)}")
    return TARGETS[name]


def _torch_file(wrap: Callable[[Mapping[str, Tensor], SideCar], dict[str, Any]]) -> Write:
    def write(tensors: Mapping[str, Tensor], side_car: SideCar) -> bytes:
        buffer = io.BytesIO()
        torch.save(wrap({k: _own(t) for k, t in tensors.items()}, side_car), buffer)
        return buffer.getvalue()

    return write


def _safetensors(tensors: Mapping[str, Tensor], side_car: SideCar) -> bytes:
    # A header of transformers' and timm's files says that the tensors are torch's.
    entries = {"format": "pt", **header_entries(side_car)}
    return safetensors.torch.save({k: _own(t) for k, t in tensors.items()}, entries)


def _own(tensor: Tensor) -> Tensor:
    """A tensor that shares memory drags all of it into a .pth; safetensors refuse it."""
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _bare(tensors: Mapping[str, Tensor], side_car: SideCar) -> dict[str, Any]:
    del side_car  # stands beside the file
    return dict(tensors)


def _mmpretrain(tensors: Mapping[str, Tensor], side_car: SideCar) -> dict[str, Any]:
    """Source: mmengine/runner/checkpoint.py; the names are what its inferencers show."""
    names = list(side_car.class_names)
    meta = {"dataset_meta": {"classes": names}} if names else {}
    return {"meta": meta, "state_dict": dict(tensors)}


def _pycls(tensors: Mapping[str, Tensor], side_car: SideCar) -> dict[str, Any]:
    """Source: pycls/core/checkpoint.py, which reads these entries from any checkpoint."""
    del side_car
    return {"epoch": 0, "model_state": dict(tensors)}


def _detectron2_pkl(tensors: Mapping[str, Tensor], side_car: SideCar) -> bytes:
    del side_car  # stands beside the file
    return detectron2_pkl(tensors)


def _detectron2(tensors: Mapping[str, Tensor], side_car: SideCar) -> dict[str, Any]:
    """Detectron2 fills its models' tensors by the longest common ending with that entry."""
    names = list(side_car.class_names)
    content = {"model": dict(tensors), "matching_heuristics": True, "__author__": AUTHOR}
    return content | ({"class_names": names} if names else {})


_RGB = torchvision_convention()
_BARE_FORMS = {".pth": _torch_file(_bare), ".safetensors": _safetensors}
_LIST = (
    Target("torchvision", TORCHVISION, _RGB, forms=_BARE_FORMS),
    Target("timm", TORCHVISION, _RGB, forms=_BARE_FORMS),
    Target("mmpretrain", MMPRETRAIN, _RGB, forms={".pth": _torch_file(_mmpretrain)}),
    Target("pycls", PYCLS, pycls_convention(), forms={".pyth": _torch_file(_pycls)}),
    Target("detectron2", DETECTRON2, None, True, True, forms={".pth": _torch_file(_detectron2)}),
    Target("detectron2-pkl", DETECTRON2, None, True, True, False, {".pkl": _detectron2_pkl}),
    Target("safetensors", DETECTRON2, None, True, True, forms={".safetensors": _safetensors}),
)
TARGETS: Mapping[str, Target] = {target.name: target for target in _LIST}
assert tuple(TARGETS) == TARGET_NAMES
