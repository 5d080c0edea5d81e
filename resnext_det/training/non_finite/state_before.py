"""What a forward pass changes beside the gradients, as it was before. Engine-neutral."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from resnext_det.training.parts import Stateful


class StateBefore:
    """Remembers buffers (running statistics) and other state, and puts them back.

    A batch of NaN leaves NaN in running statistics, which no later batch would take out again.

    Args:
        model: not wrapped.
        parts: further state that the forward pass changes, by entry: `Engine.stateful`.
    """

    def __init__(self, model: nn.Module, parts: Mapping[str, Stateful]) -> None:
        self._parts = parts
        # By type: torch copies those of one type in one go.
        groups: dict[object, list[Tensor]] = {}
        for buffer in model.buffers():
            groups.setdefault((buffer.dtype, buffer.device), []).append(buffer)
        self._pairs = [(group, [b.clone() for b in group]) for group in groups.values()]
        self._states: dict[str, dict[str, Any]] = {}

    @torch.no_grad()
    def remember(self) -> None:
        """Takes the state as it is now."""
        for buffers, copies in self._pairs:
            torch._foreach_copy_(copies, buffers)
        self._states = {name: part.state_dict() for name, part in self._parts.items()}

    @torch.no_grad()
    def put_back(self) -> None:
        """Makes the state what it was when `remember` was called."""
        for buffers, copies in self._pairs:
            torch._foreach_copy_(buffers, copies)
        for name, state in self._states.items():
            self._parts[name].load_state_dict(state)

    @property
    def states(self) -> Mapping[str, Mapping[str, Any]]:
        """The state of the parts, by entry, as remembered."""
        return self._states
