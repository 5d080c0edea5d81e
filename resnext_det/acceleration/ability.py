"""What a machine can accelerate with. Engine-neutral."""

from importlib.util import find_spec

import torch

from resnext_det.acceleration.gpu_pooling import obstacle_to_gpu_pooling
from resnext_det.acceleration.machine import Mode
from resnext_det.acceleration.setting import Acceleration
from resnext_det.errors import UserError
from resnext_det.training.acceleration import CPP_COMPILERS, has_cpp_compiler
from resnext_det.training.memory import can_keep_memory


def computes_bfloat16(device: torch.device) -> bool:
    """Tells whether a device multiplies bfloat16 in hardware, where it is worth its rounding."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def can_pool_fast(device: torch.device) -> bool:
    """Tells whether a device can have fast_pooling in inference."""
    return _obstacle_to_pooling(device, "inference") is None


def check_acceleration(setting: Acceleration, device: torch.device, mode: Mode) -> None:
    """Checks that a device can do what a setting asks for.

    Raises:
        UserError: naming the word and what is missing.
    """
    asked = f"acceleration {setting.words()!r} on {device.type}"
    for word, why in _obstacles(setting, device, mode).items():
        raise UserError(f"{asked}: {word} {why}")


def _obstacles(setting: Acceleration, device: torch.device, mode: Mode) -> dict[str, str]:
    """Returns why each word is not possible, best said first."""
    found: dict[str, str] = {}
    if setting.precision == "float16" and device.type == "cpu":
        found["float16"] = "needs a GPU: give bfloat16 or float32"
    if setting.precision == "bfloat16" and device.type == "cuda" and not computes_bfloat16(device):
        found["bfloat16"] = "is not what this GPU computes with: give float16 or float32"
    if setting.fast_pooling and (why := _obstacle_to_pooling(device, mode)):
        found["fast_pooling"] = why
    if setting.keep_memory and device.type != "cpu":
        found["keep_memory"] = "is for the CPU alone: leave it out"
    elif setting.keep_memory and not can_keep_memory():
        found["keep_memory"] = "needs the GNU C library of Linux: leave it out"
    if setting.winograd and not (
        device.type == "cpu"
        and setting.precision == "float32"
        and setting.channels_last
        and setting.fold_norms
    ):
        found["winograd"] = "goes with float32, channels_last and fold_norms on the CPU alone"
    if setting.cuda_graphs and device.type != "cuda":
        found["cuda_graphs"] = "needs a CUDA device: leave it out"
    if setting.compile and device.type == "cuda" and find_spec("triton") is None:
        found["compile"] = "needs triton, which is not installed: pip install triton"
    if setting.compile and device.type == "cpu" and not has_cpp_compiler():
        found["compile"] = (
            f"needs a C++ compiler ({CPP_COMPILERS[0]}): install one, or leave it out"
        )
    return found


def _obstacle_to_pooling(device: torch.device, mode: Mode) -> str | None:
    if device.type == "cpu":
        return None
    if mode == "training":
        return "is for the CPU alone in training: leave it out"
    if device.type != "cuda":
        return "is for the CPU and for CUDA devices: leave it out"
    return obstacle_to_gpu_pooling(device)
