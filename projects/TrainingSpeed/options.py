"""What may make a training step faster, as one setting each. Engine-neutral."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch


@dataclass(frozen=True)
class Setting:
    """How a step is computed; the defaults are PyTorch's own.

    Attributes:
        bf16: forward pass under bfloat16 autocast.
        channels_last: images, weights and maps lie as (N, H, W, C).
        cudnn_benchmark: cuDNN tries its algorithms and keeps the fastest; of a whole process.
        pack: neighbouring groups of a grouped convolution that are merged into one.
        cuda_graph: the step is recorded once and replayed.
        compile: torch.compile.
    """

    bf16: bool = False
    channels_last: bool = False
    cudnn_benchmark: bool = False
    pack: int = 1
    cuda_graph: bool = False
    compile: bool = False

    def changed(self) -> dict[str, Any]:
        """Returns what differs from the defaults."""
        return {k: v for k, v in asdict(self).items() if v != getattr(PLAIN, k)}


PLAIN = Setting()
# In the order in which they are added to one another; compiling, which takes longest, is last.
OPTIONS: dict[str, dict[str, Any]] = {
    "bf16": {"bf16": True},
    "channels_last": {"channels_last": True},
    "cuDNN benchmark": {"cudnn_benchmark": True},
    "pack4": {"pack": 4},
    "pack8": {"pack": 8},
    "CUDA graph": {"cuda_graph": True},
    "compile": {"compile": True},
}
_OF_CUDA = ("cudnn_benchmark", "cuda_graph")
assert {key for option in OPTIONS.values() for key in option} == {f.name for f in fields(Setting)}


def add(setting: Setting, option: str) -> Setting:
    """Returns the setting with one of OPTIONS."""
    return replace(setting, **OPTIONS[option])


def why_not(setting: Setting, device: str) -> str | None:
    """Says why a setting cannot be tried on a device; None where it can."""
    if device == "cuda" and setting.bf16 and not torch.cuda.is_bf16_supported(False):
        return "this GPU has no bfloat16"
    if device != "cuda" and any(getattr(setting, name) for name in _OF_CUDA):
        return "needs a CUDA device"
    return None
