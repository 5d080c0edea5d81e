"""Runs or compiles the Triton kernel of RoIAlign where there is no GPU; a process of its own.

    TRITON_INTERPRET=1 python -m tests.acceleration.interpreted_pooling run
    python -m tests.acceleration.interpreted_pooling compile

Triton reads the variable when the kernel is defined.
"""

import sys
from itertools import product

import torch

from resnext_det.acceleration.gpu_pooling import GpuRoIPooler
from resnext_det.engines.portable.pooling import RoIPooler

STRIDES = (4, 8)


def drawn(dtype: torch.dtype, device: str = "cpu") -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Maps of two images of 64 x 76 pixels, and boxes in, over and beyond the edge, and of none."""
    draw = torch.Generator().manual_seed(1)
    maps = [torch.randn(2, 20, 64 // s, 76 // s, generator=draw) for s in STRIDES]
    boxes = []
    for count in (9, 6):
        corners = torch.rand(count, 2, generator=draw) * 60 - 5
        sides = torch.rand(count, 2, generator=draw) * 40
        sides[0], sides[1, 0] = 0, 0
        boxes.append(torch.cat([corners, corners + sides], dim=1))
    boxes[1][2] = torch.tensor([-300.0, -300, 400, 400])
    return [m.to(device, dtype) for m in maps], [b.to(device) for b in boxes]


def check(dtype: torch.dtype, tolerance: float, device: str = "cpu") -> None:
    """Compares with torchvision's operator in float32."""
    features, boxes = drawn(dtype, device)
    for ratio in (0, 2):
        pooler = RoIPooler(3, STRIDES, ratio)
        expected = pooler([f.float() for f in features], boxes)
        found = GpuRoIPooler.of(pooler)(features, boxes)
        assert found.dtype == dtype
        assert found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found.float(), expected, rtol=tolerance, atol=tolerance)
        nothing = GpuRoIPooler.of(pooler)(features, [b[:0] for b in boxes])
        assert nothing.shape == (0, 20, 3, 3)


def compile_for_gpu() -> None:
    """Compiles the kernel for compute capability 9.0, which the interpreter does not check."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from resnext_det.acceleration.roi_align_kernel import _pool_level

    for number, ratio in product(("fp32", "bf16", "fp16"), (0, 2)):
        types = {"feature": f"*{number}", "regions": "*fp32", "levels": "*i64"}
        types |= {"pooled": f"*{number}", "scale": "fp32"}
        constants = {"SAMPLING_RATIO": ratio, "BINS": 7, "BLOCK": 256}
        integers = dict.fromkeys(("level", "height", "width", "channels"), "i32")
        signature = types | integers | dict.fromkeys(constants, "constexpr")
        signature = {name: signature[name] for name in _pool_level.arg_names}
        source = ASTSource(_pool_level, signature, constexprs=constants)
        compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32))
        assert ".target sm_90" in compiled.asm["ptx"]


if __name__ == "__main__":
    if sys.argv[1] == "run":
        check(torch.float32, 1e-5)
        check(torch.bfloat16, 2**-7)
    else:
        compile_for_gpu()
    print("agreed")
