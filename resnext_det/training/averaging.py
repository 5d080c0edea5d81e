"""The moving average of the weights, which is what a run evaluates and exports. Engine-neutral."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class AveragedWeights:
    """An exponential moving average of a model's weights, starting at its first update.

    Floating-point buffers are averaged too: running statistics then belong to the averaged
    weights and not to the newest ones. Others (counters) are copied.

    Args:
        model: on its device, not wrapped; it is copied.
        decay: SOLVER.EMA.DECAY, the share of the average that an update keeps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._averaged = AveragedModel(
            model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True
        )
        self._averaged.requires_grad_(False)

    @property
    def model(self) -> nn.Module:
        """A model like the one that is trained, with the averaged weights."""
        return self._averaged.module

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes in the model's weights after an update."""
        self._averaged.update_parameters(model)
        for mine, newest in zip(self.model.buffers(), model.buffers(), strict=True):
            if not mine.is_floating_point():
                mine.copy_(newest)

    def state_dict(self) -> dict[str, Any]:
        """Returns what a checkpoint needs beside the averaged weights themselves."""
        return {"updates": int(self._averaged.n_averaged)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back a checkpoint's averages; from a run without any, it starts anew.

        Args:
            state: the whole checkpoint, whose "model" is the averages where "ema" is there.
        """
        if "ema" in state:
            self.model.load_state_dict(state["model"])
            self._averaged.n_averaged.fill_(state["ema"]["updates"])
