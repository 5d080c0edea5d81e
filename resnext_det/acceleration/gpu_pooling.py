"""RoIAlign on a GPU, all levels of the pyramid as they lie in memory. Portable."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Self

import torch
from torch import Tensor

from resnext_det.engines.portable.pooling import RoIPooler, assign_levels
from resnext_det.errors import one_line

_LEAST_CAPABILITY = (8, 0)


def obstacle_to_gpu_pooling(device: torch.device) -> str | None:
    """Says why a CUDA device cannot have the kernel; None where it can.

    Triton compiles it with a C compiler, Python's headers and a folder to write to: whether all of
    it works is tried.
    """
    if find_spec("triton") is None:
        return "needs triton, which is not installed: pip install triton, or leave it out"
    if not torch.cuda.is_available():
        return "needs a GPU, and torch finds none: leave it out"
    if torch.cuda.get_device_capability(device) < _LEAST_CAPABILITY:
        return "needs a GPU of compute capability 8.0 or above: leave it out"
    try:
        feature, box = torch.zeros(1, 1, 1, 1, device=device), torch.zeros(1, 4, device=device)
        GpuRoIPooler(1, (1,)).forward([feature], [box])
    except Exception as error:  # of Triton, its compilers, the linker or the disk
        told = one_line(str(error).partition("\n")[0]) or type(error).__name__
        return f"needs Triton to compile, which fails here ({told}): leave it out"
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
