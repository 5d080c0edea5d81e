"""A study's folder: whose it is, and one process at a time in it. Engine-neutral."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projects.studies.folders.locks import read_holder, release, try_lock, write_holder
from projects.studies.grid import Grid
from projects.studies.test_sets import TEST_SET
from resnext_det.errors import UserError, few
from resnext_det.whole_files import write_text_safe

MARKER = "study.json"
LOCK = "study.lock"
DATA = "data"
"""A folder that a project may fill with what it trains on before the study begins."""


@contextmanager
def open_study(grid: Grid) -> Iterator[None]:
    """Holds a study's folder, new or begun, for this process, and marks it as the study's.

    More rows or seeds of the same study are welcome; nothing that lies there is changed.

    Args:
        grid: the study.

    Raises:
        UserError: the folder is another study's or nobody's, or another process holds it.
    """
    _check_marker(grid)
    with hold_folder(grid.output):
        _check_marker(grid)  # another may have begun a study there meanwhile
        write_text_safe(grid.output / MARKER, json.dumps(_marker(grid), indent=1) + "\n")
        yield


@contextmanager
def hold_folder(output: Path) -> Iterator[None]:
    """Holds a study's folder for this process, before it is known which study it will be.

    `open_study` may follow inside it. What ends in a `UserError` before a run has begun leaves
    nothing that was not there before.

    Args:
        output: the study's folder, which is made where it is absent.

    Raises:
        UserError: it is no study's, or another process holds it, or it cannot be written to.
    """
    _check_ours(output)
    path, before = output / LOCK, _Before.of(output)
    try:
        descriptor = try_lock(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}): give another --output"
        ) from error
    holder = read_holder(path)
    if descriptor is None and holder and holder.is_this_process:
        yield
        return
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
    try:
        yield
    except UserError:
        before.restore()
        raise
    finally:
        release(descriptor)


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

    @classmethod
    def of(cls, output: Path) -> "_Before":
        """Looks."""
        missing = tuple(folder for folder in (output, *output.parents) if not folder.exists())
        return cls(output, frozenset() if missing else _names(output), missing)

    def restore(self) -> None:
        """Removes what a refused command has made; the lock last, while it is still held.

        Where anything else is new, a run has begun, and all is kept.
        """
        new = _names(self.output) - self.names
        # The data of a study that was begun before are never touched.
        ours = {LOCK} if MARKER in self.names else {DATA, MARKER, TEST_SET, LOCK}
        if new - ours:
            return
        if DATA in new:
            shutil.rmtree(self.output / DATA)
        for name in (MARKER, TEST_SET, LOCK):
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
    found = _read(grid.output / MARKER)
    if found is None:
        _check_ours(grid.output)
        return
    wanted = _marker(grid)
    if found.get("digest") == wanted["digest"]:
        return
    here, there = (f"{m.get('title')!r} at scale {m.get('scale')}" for m in (wanted, found))
    if here == there:
        raise UserError(
            f"{grid.output} holds the study {there} with another test set or other settings to "
            "compare: give another --output"
        )
    raise UserError(f"{grid.output} holds the study {there}, not {here}: give another --output")


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


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}): give another --output") from error
    return content if isinstance(content, dict) else {}
