"""The least time a detector's convolutions and linear layers can take here. Engine-neutral.

The roofline model (Williams, Waterman and Patterson 2009, doi:10.1145/1498765.1498785): a layer
takes at least its operations by the machine's measured peak, and at least the bytes of its input,
weight and output by the measured speed of memory. Layers follow one another, so their bounds add
up. What a cache keeps from one layer to the next is not read again: then a layer can be faster
than its bound, but the maps of a large image are no cache's size.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_TRIES = 5


@dataclass(frozen=True)
class Layer:
    """What one layer computes in one forward pass.

    Attributes:
        flops: additions and multiplications, two for each multiply-add.
        numbers: of input, weight and output together.
    """

    flops: int
    numbers: int


@dataclass(frozen=True)
class Peaks:
    """What the machine reaches.

    Attributes:
        flops_per_second: by name of the number format, of products of large square matrices.
        bytes_per_second: read and written by a copy of a large tensor.
    """

    flops_per_second: Mapping[str, float]
    bytes_per_second: float


def layers_of(model: nn.Module, run: Callable[[], object]) -> list[Layer]:
    """Notes the convolutions and linear layers that a forward pass computes.

    Args:
        model: whose layers.
        run: computes it once.
    """
    found: list[Layer] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d | nn.Linear)
        # Each output element is a sum of as many products as a row of the weight has numbers.
        row = module.weight[0].numel()
        numbers = inputs[0].numel() + module.weight.numel() + output.numel()
        found.append(Layer(2 * output.numel() * row, numbers))

    kinds = (nn.Conv2d, nn.Linear)
    handles = [m.register_forward_hook(note) for m in model.modules() if isinstance(m, kinds)]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return found


def bound(layers: list[Layer], dtype: str, peaks: Peaks) -> float:
    """Returns the seconds that the layers take at least in a number format of DTYPES."""
    flops, size = peaks.flops_per_second[dtype], DTYPES[dtype].itemsize
    return sum(
        max(layer.flops / flops, layer.numbers * size / peaks.bytes_per_second) for layer in layers
    )


def roofline(layers: list[Layer], peaks: Peaks) -> dict[str, Any]:
    """Returns the work, the peaks and the bounds, for a results file."""
    numbers = sum(layer.numbers for layer in layers)
    return {
        "layers": len(layers),
        "flops": sum(layer.flops for layer in layers),
        "bytes": {dtype: numbers * DTYPES[dtype].itemsize for dtype in DTYPES},
        "peaks": asdict(peaks),
        "bound_seconds": {dtype: bound(layers, dtype, peaks) for dtype in DTYPES},
    }


def measure_peaks(device: str, side: int, megabytes: int) -> Peaks:
    """Measures the peaks with the threads that are set.

    A GPU's float32 is what its convolutions compute in, by default TF32.

    Args:
        device: "cpu" or "cuda".
        side: of the square matrices.
        megabytes: of the tensor that is copied: more than any cache.
    """
    flops = {name: _matrix_flops(device, side, dtype) for name, dtype in DTYPES.items()}
    source = torch.zeros(megabytes * 2**20, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    seconds = _least_seconds(lambda: target.copy_(source), device)
    return Peaks(flops, 2 * source.numel() / seconds)


def _matrix_flops(device: str, side: int, dtype: torch.dtype) -> float:
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        seconds = _least_seconds(lambda: one @ other, device)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return 2 * side**3 / seconds


def _least_seconds(step: Callable[[], object], device: str) -> float:
    """The least of several tries, for a peak is what can be reached."""
    found = []
    for _ in range(_TRIES + 1):
        if device == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - began)
    return min(found[1:])
