"""From a loader's batch to the model's input, on the device. Engine-neutral."""

from typing import Any

import torch
from torch import Tensor, nn

from resnext_det.classification.colors import change_colors
from resnext_det.data.classification_batch import ClassificationBatch


class DeviceBatch(nn.Module):
    """Changes colours and normalises a whole batch at once.

    Args:
        mean: of each channel, in 0–255 units and the order of `pixel_format`.
        std: likewise.
        pixel_format: `INPUT.FORMAT`.
        device: where the model is.
        channels_last: the memory layout of what is returned.
    """

    def __init__(
        self,
        *,
        mean: list[float],
        std: list[float],
        pixel_format: str,
        device: torch.device,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self._format = pixel_format
        self._device = device
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._mean = torch.tensor(mean, dtype=torch.float32, device=device).view(-1, 1, 1)
        self._std = torch.tensor(std, dtype=torch.float32, device=device).view(-1, 1, 1)

    @torch.no_grad()
    def forward(self, batch: ClassificationBatch) -> tuple[Tensor, Tensor]:
        """Returns the images and labels of a batch.

        Returns:
            (N * V, 3, S, S) float32, normalised, and (N,) int64, both on the device.
        """
        batch = batch.to(self._device)
        # A copy in any case: the batch stays as it came, for whoever looks at it later.
        images = batch.images.to(torch.float32, copy=True, memory_format=self._layout)
        if batch.colors is not None:
            images = change_colors(images, batch.colors, self._format)
        # In place: on a CPU the memory of new tensors costs more than the arithmetic.
        return images.sub_(self._mean).div_(self._std), batch.labels


def build_device_batch(cfg: Any, device: torch.device) -> DeviceBatch:
    """Builds it from `MODEL.PIXEL_MEAN/STD`, `INPUT.FORMAT` and `SOLVER.CHANNELS_LAST`."""
    return DeviceBatch(
        mean=cfg.MODEL.PIXEL_MEAN,
        std=cfg.MODEL.PIXEL_STD,
        pixel_format=cfg.INPUT.FORMAT,
        device=device,
        channels_last=cfg.SOLVER.CHANNELS_LAST,
    )
