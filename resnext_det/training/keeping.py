"""Which periodic checkpoints stay on disk. Engine-neutral."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from resnext_det.training.distributed import is_main
from resnext_det.training.newest import FINAL, PERIODIC

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
        self._passing: list[str] = []
        self._passed: list[str] = []

    def will_write(self, name: str, *, passing: bool = False) -> None:
        """Notes a checkpoint that is about to be written, so that it is in its own state.

        Args:
            name: without `.pth`.
            passing: it is only to go on from, and is deleted when the next is on disk.
        """
        self._passed += [other for other in self._passing if other != name]
        self._passing = [name] if passing else []
        if passing:
            return
        self._written = [other for other in self._written if other != name]
        if name != FINAL:
            self._written.append(name)
        if self._count:
            self._old += self._written[: -self._count]
            self._written = self._written[-self._count :]

    @property
    def are_due(self) -> bool:
        """Whether `prune` will delete any."""
        return bool(self._old or self._passed)

    def prune(self) -> None:
        """Deletes the older ones; call it when the newest is on disk."""
        because = f"SOLVER.KEEP_CHECKPOINTS is {self._count}"
        self._remove(self._old, because)
        self._remove(self._passed, "it was there to go on from, and the run has")
        self._old, self._passed = [], []

    def state_dict(self) -> dict[str, Any]:
        """Returns the names of the checkpoints written and not yet deleted, oldest first."""
        return {"written": [*self._old, *self._written], "passing": [*self._passed, *self._passing]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave; names that no run writes are left out."""
        self._written = _run_names(state["written"])
        self._passing = _run_names(state.get("passing", ()))

    def settle(self) -> None:
        """Deletes what a killed run had not come to; call it when the state is back.

        Names of files that are gone would else stand in the next checkpoints.
        """
        if self._count:
            self._old += self._written[: -self._count]
            self._written = self._written[-self._count :]
        self.prune()

    def _remove(self, names: Sequence[str], because: str) -> None:
        for path in [self._folder / f"{name}.pth" for name in names] if is_main() else ():
            if path.is_file():
                path.unlink()
                logger.info("Removed %s: %s", path.name, because)


def _run_names(names: Iterable[object]) -> list[str]:
    return [str(name) for name in names if PERIODIC.fullmatch(str(name))]
