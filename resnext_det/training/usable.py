"""Which checkpoint a run goes on from: the newest that is whole. Engine-neutral."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError, few
from resnext_det.training.checkpoint_file import DamagedCheckpointError, load_checkpoint
from resnext_det.training.distributed import broadcast_object, is_main
from resnext_det.training.newest import (
    BEST,
    LAST,
    checkpoints,
    iteration_in_name,
    marked_checkpoint,
)


class WeightsAloneError(UserError):
    """A file that a run cannot go on from, and that is whole for all that.

    Attributes:
        reason: what is wrong with it, without its name.
    """

    reason = "is no checkpoint of a run"


@dataclass(frozen=True)
class Usable:
    """A checkpoint that a run can go on from.

    Attributes:
        path: the file.
        state: what it holds.
        refused: what came before it and cannot be used: "NAME REASON".
    """

    path: Path
    state: dict[str, Any]
    refused: tuple[str, ...] = ()

    @property
    def iteration(self) -> int:
        """The last finished one, counted from 0."""
        return self.state["iteration"]

    @property
    def line(self) -> str:
        """What the log says of those that were refused."""
        return (
            f"Not used: {few(self.refused)}; the run goes on from {self.path.name}, at iteration "
            f"{self.iteration + 1}"
        )


def find_usable(output_dir: str | Path) -> Usable | None:
    """Returns the same checkpoint in all processes: the main one decides. None without any.

    It is the one that `last_checkpoint` names; where that is not whole, or holds weights alone,
    the one of the highest iteration that is. model_best is none of them.

    Raises:
        UserError: there are some, and none can be used.
    """
    found, trouble = None, ""
    try:
        found = newest_usable(Path(output_dir)) if is_main() else None
    except UserError as error:
        trouble = str(error)
    told = (found.path, found.refused) if found else None
    told, trouble = broadcast_object((told, trouble))
    if trouble:
        raise UserError(trouble)
    if told and not found:
        return Usable(told[0], load_run_state(told[0]), told[1])
    return found


def newest_usable(folder: Path) -> Usable | None:
    """Returns what `find_usable` does, for this process."""
    named, wrong = marked_checkpoint(folder)
    others = [path for path in checkpoints(folder) if path != named]
    if named is None and not others and not (folder / LAST).exists():
        return None
    refused = [f"{LAST} {wrong}"] if named is None else []
    mistake: UserError | None = None
    if named is not None:
        try:
            return Usable(named, load_run_state(named))
        except DamagedCheckpointError as error:
            refused.append(f"{named.name} {error.reason}")
        except WeightsAloneError as error:
            mistake = error  # what to do about it, where there is no other
            refused.append(f"{named.name} {error.reason}")
    best: Usable | None = None
    for path in others:  # model_final first, whose name does not tell its iteration
        if best and iteration_in_name(path) <= best.iteration:
            break
        try:
            found = Usable(path, load_run_state(path))
        except UserError as error:
            reason = getattr(error, "reason", "is no checkpoint of a run")
            refused.append(f"{path.name} {reason}")
            continue
        best = found if best is None or found.iteration > best.iteration else best
    if best is None:
        raise mistake or UserError(_none_is_whole(folder, refused))
    return Usable(best.path, best.state, tuple(refused))


def load_run_state(path: Path) -> dict[str, Any]:
    """Reads a checkpoint and checks that it is one of a run, with what resuming needs.

    Raises:
        DamagedCheckpointError: it is not whole, or its entries are not what a run writes.
        WeightsAloneError: it holds weights alone.
    """
    state = load_checkpoint(path)
    for key, kind in (("model", Mapping), ("iteration", int)):
        if key not in state:
            raise WeightsAloneError(
                f"{path}: is no checkpoint of a run (it has no entry {key!r}): start from it "
                f"with MODEL.WEIGHTS {path} in another OUTPUT_DIR"
            )
        if not isinstance(state[key], kind):
            kind_found = type(state[key]).__name__
            raise DamagedCheckpointError(
                path, f"has an entry {key!r} that is a {kind_found}, which no run writes"
            )
    return state


def _none_is_whole(folder: Path, refused: list[str]) -> str:
    best = folder / f"{BEST}.pth"
    start = f" (MODEL.WEIGHTS {best} starts from the best weights)" if best.is_file() else ""
    return (
        f"{folder}: no checkpoint there can be used: {few(refused)}: start the run anew in another "
        f"OUTPUT_DIR{start}"
    )
