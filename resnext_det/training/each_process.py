"""State that each process of a run has of its own, all of it in one checkpoint. Engine-neutral."""

import logging
from collections.abc import Mapping
from typing import Any

from resnext_det.errors import UserError
from resnext_det.training.distributed import all_gather_objects, is_main, rank, world_size
from resnext_det.training.parts import OwnState

_PROCESSES = "processes"
_MISFITS = (AttributeError, LookupError, TypeError, ValueError)


class OfEachProcess:
    """Keeps every process's state of a part in the checkpoint, which the main process writes.

    A run that goes on with as many processes gives each its own back; with another number they
    share what there was (`OwnState.shared_anew`). A checkpoint from before all were kept has the
    main process's alone, which each then takes.

    Args:
        name: the part's entry in checkpoints.
        part: this process's.
    """

    def __init__(self, name: str, part: OwnState) -> None:
        self._name = name
        self._part = part

    def state_dict(self) -> dict[str, Any]:
        """Returns every process's state; all call it at the same time."""
        return {_PROCESSES: all_gather_objects(self._part.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes this process's state back.

        Raises:
            UserError: the checkpoint holds something else.
        """
        try:
            self._part.load_state_dict(self._own(state))
        except _MISFITS as error:
            raise UserError(
                f"the checkpoint's state of each process, its entry {self._name}, is damaged: go "
                "on from an earlier checkpoint"
            ) from error

    def _own(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        if _PROCESSES not in state:
            return state
        states = state[_PROCESSES]
        if len(states) == world_size():
            return states[rank()]
        if not states:
            raise ValueError("no process's")
        if is_main():
            logging.getLogger(__name__).info(
                "%s: of %d process(es) before, shared among %d from here on",
                self._name,
                len(states),
                world_size(),
            )
        return self._part.shared_anew(states, world_size())
