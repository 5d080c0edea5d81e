"""What makes the same training faster: layout, compiled code, cuDNN's choice. Engine-neutral.

None of it changes names or values of a checkpoint, which other runs may go on from without.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from shutil import which
from typing import Any, Protocol, runtime_checkable

import torch
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.errors import UserError
from resnext_det.training.device import computes_on_gpus
from resnext_det.training.distributed import unwrap_model
from resnext_det.training.memory import can_keep_memory, keep_memory

ACCELERATION_KEYS = (
    "SOLVER.AMP.DTYPE",
    "SOLVER.AMP.ENABLED",
    "SOLVER.CHANNELS_LAST",
    "SOLVER.COMPILE",
    "SOLVER.FAST_POOLING",
    "SOLVER.FAST_SUPPRESSION",
    "SOLVER.FOLD_NORMS",
    "SOLVER.KEEP_MEMORY",
    "SOLVER.SAMPLED_ANCHORS",
)
"""What `--acceleration` sets; a run that is continued keeps them where nobody says otherwise."""
CPP_COMPILERS = ("g++", "clang++", "c++")
"""What torch.compile looks for on the CPU, best first."""


@runtime_checkable
class CompiledInParts(Protocol):
    """A model that names its parts whose operations depend on the images' size alone."""

    def parts_to_compile(self) -> Sequence[nn.Module]:
        """Returns them; their names and parameters stay as they are."""
        ...


def set_cudnn(cfg: CfgNode) -> None:
    """Lets cuDNN measure its algorithms at each new size of input, or forbids it.

    The measured choice, and with it the last bits of a run, may differ from start to start.
    """
    torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK


def set_memory(cfg: CfgNode) -> None:
    """Keeps freed memory with this process where SOLVER.KEEP_MEMORY asks for it."""
    if cfg.SOLVER.KEEP_MEMORY:
        keep_memory()


def memory_format(cfg: CfgNode) -> torch.memory_format:
    """Returns the layout of images and weights that SOLVER.CHANNELS_LAST asks for."""
    return torch.channels_last if cfg.SOLVER.CHANNELS_LAST else torch.contiguous_format


def in_layout(cfg: CfgNode, model: nn.Module) -> nn.Module:
    """Puts the weights of a model into the layout that SOLVER.CHANNELS_LAST asks for."""
    options: dict[str, Any] = {"memory_format": memory_format(cfg)}
    return model.to(**options) if cfg.SOLVER.CHANNELS_LAST else model


def compiled(cfg: CfgNode, model: nn.Module) -> nn.Module:
    """Compiles the forward and backward passes of training where SOLVER.COMPILE asks for it.

    The model itself stays as it is and shares its weights with the result; `unwrap_model` takes
    it out again. So a run evaluates and saves the model that `--eval-only` evaluates.

    A detector, whose work depends on what it finds, has its parts compiled instead, in place; see
    `CompiledInParts`.

    Args:
        cfg: the configuration.
        model: on its device, wrapped for several processes.
    """
    if not cfg.SOLVER.COMPILE:
        return model
    inside = unwrap_model(model)
    if isinstance(inside, CompiledInParts):
        for part in inside.parts_to_compile():
            part.compile()
        return model
    result = torch.compile(model)
    assert isinstance(result, nn.Module)
    return result


def uncompiled(cfg: CfgNode) -> AbstractContextManager[object]:
    """Returns a context in which a model compiled in parts runs as it is written."""
    # Only where something was compiled: what knows of it takes seconds to import.
    return torch.compiler.set_stance("force_eager") if cfg.SOLVER.COMPILE else nullcontext()


def check_speed_keys(cfg: CfgNode) -> None:
    """Refuses, before training, what is faster on another kind of device alone.

    Raises:
        UserError: naming the key.
    """
    on_gpus = computes_on_gpus(cfg)
    for name, of_gpus in (
        ("FAST_POOLING", False),
        ("KEEP_MEMORY", False),
        ("FAST_SUPPRESSION", True),
    ):
        if cfg.SOLVER[name] and of_gpus != on_gpus:
            where = "GPUs" if of_gpus else "the CPU"
            raise UserError(f"SOLVER.{name} is True, which is for {where} alone; set it to False")
    if cfg.SOLVER.KEEP_MEMORY and not can_keep_memory():
        raise UserError(
            "SOLVER.KEEP_MEMORY is True, which needs the GNU C library of Linux; set it to False"
        )


def has_cpp_compiler() -> bool:
    """Tells whether one of CPP_COMPILERS can be run."""
    return any(map(which, CPP_COMPILERS))


def check_compile(cfg: CfgNode) -> None:
    """Checks, before training, that SOLVER.COMPILE finds what it compiles with.

    Raises:
        UserError: no C++ compiler on the CPU, no Triton on a GPU, or activation checkpointing
            beside it, whose contexts are not made for compiled code.
    """
    if not cfg.SOLVER.COMPILE:
        return
    if cfg.MODEL.RESNETS.ACTIVATION_CHECKPOINTING:
        raise UserError(
            "SOLVER.COMPILE and MODEL.RESNETS.ACTIVATION_CHECKPOINTING are both True, and do not "
            "go together; set one of them to False"
        )
    if computes_on_gpus(cfg):
        if find_spec("triton") is None:
            raise UserError(
                "SOLVER.COMPILE is True, but triton is not installed: pip install triton"
            )
    elif not has_cpp_compiler():
        raise UserError(
            f"SOLVER.COMPILE is True, which needs a C++ compiler on the CPU ({CPP_COMPILERS[0]}); "
            "install one, or set it to False"
        )
