"""A Detectron2 model's losses in this project's training loop. Detectron2."""

from typing import Any

from detectron2.utils.events import EventStorage
from torch import Tensor, nn

from resnext_det.training.writers import Note


class StoredLosses:
    """Calls the model within the event storage that its parts write their scalars into.

    Args:
        note: where these scalars go (roi_head/num_fg_samples, …); None to leave them.
    """

    def __init__(self, note: Note | None) -> None:
        self._note = note

    def __call__(self, model: nn.Module, batch: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Returns losses by name.

        Args:
            model: in training mode.
            batch: input dicts of `SeededMapper`.
        """
        with EventStorage(batch[0]["iteration"]) as storage:
            losses = model(batch)
        if self._note:
            self._note({name: float(value) for name, (value, _) in storage.latest().items()})
        return losses
