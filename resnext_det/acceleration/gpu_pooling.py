"""RoIAlign on a GPU, all levels of the pyramid as they lie in memory. Portable."""

import os
import sysconfig
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Self

import torch
from torch import Tensor

from resnext_det.engines.portable.pooling import RoIPooler, assign_levels

_LEAST_CAPABILITY = (8, 0)
_C_COMPILERS = ("gcc", "clang")


def obstacle_to_gpu_pooling(device: torch.device) -> str | None:
    """Says what Triton lacks to compile a kernel for a CUDA device; None where nothing."""
    if find_spec("triton") is None:
        return "needs triton, which is not installed: pip install triton, or leave it out"
    if not os.environ.get("CC") and not any(map(which, _C_COMPILERS)):
        return f"needs a C compiler ({_C_COMPILERS[0]}): install one, or leave it out"
    headers = sysconfig.get_path("include")
    if not (Path(headers) / "Python.h").is_file():
        return f"needs Python's headers ({headers}/Python.h): install them, or leave it out"
    if not torch.cuda.is_available():
        return "needs a GPU, and torch finds none: leave it out"
    if torch.cuda.get_device_capability(device) < _LEAST_CAPABILITY:
        return "needs a GPU of compute capability 8.0 or above: leave it out"
    return None


class GpuRoIPooler(RoIPooler):
    """The same bins as `RoIPooler`'s but for rounding, by the kernel of `roi_align_kernel`."""

    @classmethod
    def of(cls, pooler: RoIPooler) -> Self:
        """Returns what pools as another pooler does."""
        return cls(pooler.output_size, pooler.strides, pooler.sampling_ratio)

    def forward(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Pools the boxes of all images; see `RoIPooler.forward`. The result is channels-last."""
        counts = torch.tensor([len(b) for b in boxes], device=boxes[0].device)
        image_of = torch.arange(len(boxes), device=boxes[0].device).repeat_interleave(counts)
        return self.pool(features, torch.cat(list(boxes)), image_of)

    def pool(
        self,
        features: Sequence[Tensor],
        boxes: Tensor,
        image_of: Tensor,
        usable: Tensor | None = None,
    ) -> Tensor:
        """Cuts each box out of the level that suits it, waiting for nothing.

        Args:
            features: per level (N, C, H, W), of any one type; fastest where channels-last.
            boxes: (R, 4) xyxy, pixels of the resized image.
            image_of: (R,) integers.
            usable: (R,) bool; the others give 0; all are where it is None.

        Returns:
            (R, C, output_size, output_size), channels-last, of the features' type.
        """
        from resnext_det.acceleration.roi_align_kernel import pool_levels  # needs Triton

        levels = assign_levels(boxes, self.min_level, self.max_level)
        return pool_levels(
            features,
            torch.cat([image_of[:, None], boxes.float()], dim=1),
            levels if usable is None else levels.masked_fill(~usable, -1),
            self.output_size,
            strides=self.strides,
            sampling_ratio=self.sampling_ratio,
        )
