"""A study's folder: whose it is, and one process at a time in it. Engine-neutral."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projects.studies.grid import Grid, Kind
from projects.studies.kept_files import read_kept
from projects.studies.test_sets import TEST_SET
from projects.studies.training_inputs import TRAINING_INPUTS
from resnext_det.errors import UserError, few
from resnext_det.folder_locks import read_holder, release, try_lock, write_holder
from resnext_det.whole_files import write_text_safe

MARKER = "study.json"
LOCK = "study.lock"
DATA = "data"
"""A folder that a project may fill with what it trains on before the study begins."""


def mark_study(grid: Grid) -> None:
    """Marks a folder that this process holds as the study's.

    More rows or seeds of the same study are welcome; nothing that lies there is changed.

    Args:
        grid: the study.

    Raises:
        UserError: the folder is another study's or nobody's.
    """
    _check_marker(grid)
    write_text_safe(grid.output / MARKER, json.dumps(_marker(grid), indent=1) + "\n")


def check_study(output: Path, *, title: str, kind: Kind, scale: str) -> None:
    """Refuses a folder that another study has marked, before anything is made for this one.

    Args:
        output: the study's folder, which may be absent.
        title: the study's.
        kind: the study's.
        scale: the study's.

    Raises:
        UserError: it is another study's.
    """
    found = read_kept(output / MARKER)
    wanted = {"title": title, "scale": scale, "kind": kind}
    if found is not None and any(found.get(key) != value for key, value in wanted.items()):
        raise UserError(_another(output, found, wanted))


@contextmanager
def hold_folder(output: Path) -> Iterator[None]:
    """Holds a study's folder, new or begun, for this process.

    What ends in a `UserError` before a run has begun leaves nothing that was not there before.

    Args:
        output: the study's folder, which is made where it is absent.

    Raises:
        UserError: it is no study's, or it is held already, or it cannot be written to.
    """
    _check_ours(output)
    path = output / LOCK
    missing, had_lock = _missing(output), os.path.lexists(path)
    try:
        descriptor = try_lock(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}): give another --output"
        ) from error
    holder = read_holder(path)
    if descriptor is None:
        raise UserError(
            f"{output} is in use by {holder or 'another process'}: wait for it, end it, or give "
            "another --output"
        )
    if holder and not holder.is_here:  # a lock may not be seen from one machine to the next
        os.close(descriptor)
        raise UserError(
            f"{output} is in use by {holder}: wait for it or end it; where it is gone, remove "
            f"{path}"
        )
    write_holder(descriptor, os.getpid())
    # Another command may have begun the study while this one came: look once the lock is held.
    before = _Before(output, _names(output) - (frozenset() if had_lock else {LOCK}), missing)
    try:
        yield
    except UserError:
        before.restore()
        raise
    finally:
        release(descriptor)


def _missing(output: Path) -> tuple[Path, ...]:
    """Returns a folder and those above it that are not there, the innermost first."""
    return tuple(folder for folder in (output, *output.parents) if not os.path.lexists(folder))


@dataclass(frozen=True)
class _Before:
    """What was there before a command.

    Attributes:
        output: the study's folder.
        names: of what lay in it.
        missing: the folder and those above it that were not there, the innermost first.
    """

    output: Path
    names: frozenset[str]
    missing: tuple[Path, ...]

    def restore(self) -> None:
        """Removes what a refused command has made; the lock last, while it is still held.

        Where anything else is new, a run has begun, and all is kept.
        """
        new = _names(self.output) - self.names
        files = (MARKER, TEST_SET, TRAINING_INPUTS, LOCK)
        # The data of a study that was begun before are never touched.
        ours = {LOCK} if MARKER in self.names else {DATA, *files}
        if new - ours:
            return
        data = self.output / DATA
        if DATA in new and not data.is_symlink():  # a link is somebody else's
            shutil.rmtree(data)
        for name in files:
            if name in new:
                (self.output / name).unlink()
        with contextlib.suppress(OSError):  # another command may use one above it meanwhile
            for folder in self.missing:
                folder.rmdir()


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir())


def grid_digest(grid: Grid) -> str:
    """Returns the fingerprint of what all rows and seeds of a study share, in hexadecimal.

    What a job trains, its own record knows.
    """
    source = grid.test_set.source.replace(f"{grid.output}/", "")
    shared = [grid.title, grid.kind, grid.scale, source, sorted(grid.compared)]
    return hashlib.sha256(json.dumps(shared).encode()).hexdigest()


def _marker(grid: Grid) -> dict[str, str]:
    return {
        "title": grid.title,
        "scale": grid.scale,
        "kind": grid.kind,
        "digest": grid_digest(grid),
    }


def _check_marker(grid: Grid) -> None:
    """Refuses a folder that is not this study's, before anything is written there."""
    found = read_kept(grid.output / MARKER)
    if found is None:
        _check_ours(grid.output)
        return
    wanted = _marker(grid)
    if found.get("digest") == wanted["digest"]:
        return
    if all(found.get(key) == wanted[key] for key in ("title", "scale")):
        raise UserError(
            f"{grid.output} holds the study {_called(found)} with another test set or other "
            "settings to compare: give another --output"
        )
    raise UserError(_another(grid.output, found, wanted))


def _another(output: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Says that a folder is not the study's that is asked."""
    return (
        f"{output} holds the study {_called(found)}, not {_called(wanted)}: give another --output"
    )


def _called(marker: Mapping[str, Any]) -> str:
    return f"{marker.get('title')!r} at scale {marker.get('scale')}"


def _check_ours(output: Path) -> None:
    """Refuses a folder with anything in it but a study, before anything is written there."""
    if (output / MARKER).is_file():
        return
    try:
        names = sorted(p.name for p in output.iterdir() if p.name not in (DATA, LOCK))
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise UserError(f"{output} is a file: give another --output") from None
    if names:
        raise UserError(
            f"{output} is no study's folder (it holds {few(names)} and no {MARKER}, which studies "
            "of older versions lack, too): give another --output, or remove this folder if nothing "
            "in it is needed"
        )
