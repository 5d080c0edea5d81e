"""Mixed precision: which numbers a device computes the forward pass in. Engine-neutral."""

import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from fvcore.common.config import CfgNode

from resnext_det.errors import UserError
from resnext_det.training.distributed import is_main

_KEY = "SOLVER.AMP.DTYPE"


@dataclass(frozen=True)
class Precision:
    """What the forward pass is computed in; weights and their updates stay float32.

    Attributes:
        device_type: "cpu", "cuda", …
        dtype: float16 or bfloat16 under autocast; None for float32.
    """

    device_type: str = "cpu"
    dtype: torch.dtype | None = None

    def autocast(self) -> AbstractContextManager[object]:
        """Returns the context of one forward pass."""
        enabled = self.dtype is not None
        return torch.autocast(self.device_type if enabled else "cpu", self.dtype, enabled=enabled)

    def build_scaler(self) -> torch.amp.GradScaler:
        """Returns what keeps float16's gradients from vanishing; for others it does nothing.

        bfloat16 has float32's range and needs none.
        """
        return torch.amp.GradScaler("cuda", enabled=self.dtype == torch.float16)


FLOAT32 = Precision()


def build_precision(cfg: CfgNode, device: torch.device) -> Precision:
    """Builds what SOLVER.AMP asks for on a device.

    bfloat16 works on GPUs and on the CPU; float16, and `auto`, need a GPU: elsewhere the run
    is in float32, which the log says.

    Raises:
        UserError: bfloat16 is asked for by name on a GPU that has none.
    """
    amp = cfg.SOLVER.AMP
    if not amp.ENABLED:
        return FLOAT32
    if device.type == "cuda":
        return Precision("cuda", _gpu_dtype(amp.DTYPE))
    if device.type == "cpu" and amp.DTYPE == "bfloat16":
        return Precision("cpu", torch.bfloat16)
    if is_main():
        logging.getLogger(__name__).warning(
            "SOLVER.AMP.ENABLED with DTYPE %s needs a GPU: training in float32 on %s",
            amp.DTYPE,
            device,
        )
    return FLOAT32


def _gpu_dtype(name: str) -> torch.dtype:
    if name == "float16":
        return torch.float16
    # Emulated, as torch can on older GPUs, it is slower than float32.
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    if name == "bfloat16":
        raise UserError(f"{_KEY} is bfloat16, which this GPU does not have: set float16 or auto")
    return torch.float16
