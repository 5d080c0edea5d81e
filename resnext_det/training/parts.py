"""What the training loop expects of the parts it is given. Engine-neutral."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Stateful(Protocol):
    """Something whose state goes into a checkpoint and comes back from it."""

    def state_dict(self) -> dict[str, Any]:
        """Returns tensors, numbers and strings."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        """Takes back what `state_dict` gave."""
        ...


class OwnState(Stateful, Protocol):
    """State that each process of a run has of its own; see `each_process.OfEachProcess`."""

    def shared_anew(self, states: Sequence[Mapping[str, Any]], number: int) -> Mapping[str, Any]:
        """Returns what each of `number` processes goes on from.

        Args:
            states: what `state_dict` gave in each process of a run that had another number.
            number: of processes now.
        """
        ...


class Shared(Protocol):
    """What each process of a run finds out for itself, and all have to know."""

    @property
    def has_news(self) -> bool:
        """Whether this process has found out something since the last `share`."""
        ...

    def share(self) -> None:
        """Tells every process what the others found out; all call it at the same time."""
        ...


class Hook(Protocol):
    """What is done at certain iterations, in every process."""

    def before_training(self) -> None:
        """Is called once, when the state of a resumed run is back."""
        ...

    def after_iteration(self, iteration: int) -> None:
        """Is called with each iteration that has just ended."""
        ...

    def after_training(self, iteration: int) -> None:
        """Is called once, with the last finished iteration, also where none was left to do."""
        ...
