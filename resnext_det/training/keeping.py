"""Which periodic checkpoints stay on disk. Engine-neutral."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnext_det.training.distributed import is_main
from resnext_det.training.newest import PERIODIC

logger = logging.getLogger(__name__)


class KeptCheckpoints:
    """Deletes older periodic checkpoints, and only files that this run itself wrote.

    Args:
        folder: of the run.
        count: SOLVER.KEEP_CHECKPOINTS, how many of the newest stay; 0 all.
    """

    def __init__(self, folder: str | Path, count: int) -> None:
        self._folder = Path(folder)
        self._count = count
        self._written: list[str] = []
        self._old: list[str] = []

    def will_write(self, name: str) -> None:
        """Notes a checkpoint that is about to be written, so that it is in its own state."""
        self._written = [other for other in self._written if other != name] + [name]
        if self._count:
            self._old += self._written[: -self._count]
            self._written = self._written[-self._count :]

    @property
    def are_due(self) -> bool:
        """Whether `prune` will delete any."""
        return bool(self._old)

    def prune(self) -> None:
        """Deletes the older ones; call it when the newest is on disk."""
        old, self._old = self._old, []
        for path in [self._folder / f"{name}.pth" for name in old] if is_main() else ():
            if path.is_file():
                path.unlink()
                logger.info("Removed %s: SOLVER.KEEP_CHECKPOINTS is %d", path.name, self._count)

    def state_dict(self) -> dict[str, Any]:
        """Returns the names of the checkpoints written and not yet deleted, oldest first."""
        return {"written": [*self._old, *self._written]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave; names that no run writes are left out."""
        names = [str(name) for name in state["written"]]
        self._written = [name for name in names if PERIODIC.fullmatch(name)]

    def settle(self) -> None:
        """Deletes what a killed run had not come to; call it when the state is back.

        Names of files that are gone would else stand in the next checkpoints.
        """
        if self._count:
            self._old += self._written[: -self._count]
            self._written = self._written[-self._count :]
        self.prune()
