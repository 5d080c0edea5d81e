"""A Detectron2 model's losses in this project's training loop. Detectron2."""

from typing import Any

import numpy as np
import torch
from detectron2.utils.events import EventStorage
from torch import Tensor, nn

from resnext_det.training.writers import RunWriter


class StoredLosses:
    """Calls the model within the event storage that its parts write into.

    Args:
        writer: takes their scalars (roi_head/num_fg_samples, …) and, every VIS_PERIOD
            iterations, their pictures; None to leave both.
    """

    def __init__(self, writer: RunWriter | None) -> None:
        self._writer = writer

    def __call__(self, model: nn.Module, batch: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Returns losses by name.

        Args:
            model: in training mode.
            batch: input dicts of `SeededMapper`.
        """
        # A scripted loss (RetinaNet's, FCOS's) is optimised after its first calls in a process and
        # rounds unlike from then on: a resumed run would not be the uninterrupted one.
        unoptimised = torch.jit.optimized_execution(False)
        iteration = batch[0]["iteration"]
        with unoptimised, EventStorage(iteration) as storage:
            losses = _losses(model, batch)
        if self._writer:
            scalars = {name: float(value) for name, (value, _) in storage.latest().items()}
            self._writer.note(scalars)
            pictures = {name: _as_picture(data) for name, data, _ in storage._vis_data}
            self._writer.record_pictures(iteration, pictures)
        return losses


def _losses(model: nn.Module, batch: list[dict[str, Any]]) -> dict[str, Tensor]:
    try:
        return model(batch)
    except AssertionError as error:
        # What predicts boxes as sides above 0 comes to this by NaN alone (fvcore's giou_loss).
        if str(error).startswith("bad box"):
            raise FloatingPointError(f"predicted boxes are not finite ({error})") from error
        raise


def _as_picture(data: Any) -> np.ndarray:
    """Turns (3, H, W) uint8, or floats in 0 … 1, into (H, W, 3) uint8."""
    pixels = np.asarray(data.detach().cpu() if isinstance(data, Tensor) else data)
    if pixels.dtype != np.uint8:
        pixels = (pixels * 255).round().astype(np.uint8)
    return pixels.transpose(1, 2, 0)
