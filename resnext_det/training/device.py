"""The device a run computes on. Engine-neutral."""

import logging

import torch
from fvcore.common.config import CfgNode

from resnext_det.training.distributed import is_main, local_rank


def resolve_device(cfg: CfgNode) -> torch.device:
    """Returns MODEL.DEVICE, or the CPU (and one line in the log) where there is no GPU.

    Among several processes, "cuda" is the GPU of this process. Call it once a run.
    """
    device = torch.device(cfg.MODEL.DEVICE)
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        if is_main():
            logging.getLogger(__name__).warning(
                "MODEL.DEVICE is %s and torch finds no GPU here: this runs on the CPU", device
            )
        return torch.device("cpu")
    return torch.device("cuda", local_rank()) if device.index is None else device


def mixed_precision(cfg: CfgNode, device: torch.device) -> bool:
    """Tells whether to train in mixed precision; off the GPU SOLVER.AMP is left out, and said."""
    if not cfg.SOLVER.AMP.ENABLED:
        return False
    if device.type != "cuda" and is_main():
        logging.getLogger(__name__).warning(
            "SOLVER.AMP.ENABLED needs a GPU: training in float32 on %s", device
        )
    return device.type == "cuda"
