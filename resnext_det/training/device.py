"""The device a run computes on. Engine-neutral."""

import logging
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from fvcore.common.config import CfgNode

from resnext_det.config import flatten
from resnext_det.errors import UserError
from resnext_det.training.distributed import is_main, own_gpu


def check_device(cfg: CfgNode) -> None:
    """Checks that MODEL.DEVICE is one that torch can compute on here.

    "cuda" always is: without a GPU it means the CPU.

    Raises:
        UserError: it is none, or is not there; names the usable ones.
    """
    check_device_name(cfg.MODEL.DEVICE, "MODEL.DEVICE is")


def check_device_name(name: str, what: str) -> None:
    """Checks that a device is one that torch can compute on here; see `check_device`.

    Args:
        name: of the device.
        what: the message begins with it.

    Raises:
        UserError: it is none, or is not there; names the usable ones.
    """
    usable = ["cpu"]
    if torch.cuda.is_available():
        usable += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        usable.append("mps")
    if name not in usable and not _can_compute(name):
        raise UserError(
            f"{what} {name!r}, on which torch cannot compute here; it can be {', '.join(usable)}"
        )


def resolve_device(cfg: CfgNode) -> torch.device:
    """Returns `find_device`, with one line in the log where there is no GPU. Call it once a run.

    Raises:
        UserError: as `check_device`.
    """
    device = find_device(cfg)
    if device.type != torch.device(cfg.MODEL.DEVICE).type and is_main():
        logging.getLogger(__name__).warning(
            "MODEL.DEVICE is %s and torch finds no GPU here: this runs on the CPU",
            cfg.MODEL.DEVICE,
        )
    return device


def find_device(cfg: CfgNode) -> torch.device:
    """Returns MODEL.DEVICE, or the CPU where it is "cuda" and there is no GPU.

    Among several processes, "cuda" is the GPU of this process.

    Raises:
        UserError: as `check_device`.
    """
    check_device(cfg)
    device = torch.device(cfg.MODEL.DEVICE)
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", own_gpu()) if device.index is None else device


def as_current(device: torch.device) -> AbstractContextManager[None]:
    """Makes a GPU the one whose streams and graphs are meant, and that Triton launches on."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def check_norms(cfg: CfgNode) -> None:
    """Checks that the norms can do among several processes what their names say.

    Raises:
        UserError: SyncBN off the GPU, where torch has none.
    """
    if not dist.is_initialized() or computes_on_gpus(cfg):
        return
    for key, value in flatten(cfg):
        if key.endswith(".NORM") and value in ("SyncBN", "nnSyncBN"):
            raise UserError(
                f"{key} is {value}, which torch computes among processes on GPUs only: take GN, "
                "FrozenBN or BN (each process's own statistics), or one process"
            )


def computes_on_gpus(cfg: CfgNode) -> bool:
    """Tells whether MODEL.DEVICE is a CUDA device and there is one."""
    return torch.device(cfg.MODEL.DEVICE).type == "cuda" and torch.cuda.is_available()


def _can_compute(name: str) -> bool:
    """Tells whether a tensor can be made there, for the devices that have no test of their own."""
    try:
        device = torch.device(name)
        if device.type == "cuda" and not torch.cuda.is_available():
            return True  # any cuda is the CPU there
        return bool(torch.ones(1, device=device).cpu() == 1)
    except (RuntimeError, AssertionError, NotImplementedError):  # AssertionError: not compiled in
        return False
