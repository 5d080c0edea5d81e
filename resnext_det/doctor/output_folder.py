"""Whether runs can be written where they are to go, and locked there. Engine-neutral."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from resnext_det.doctor.findings import Finding, fine, note, problem
from resnext_det.doctor.places import nearest_folder
from resnext_det.folder_locks import is_seen_elsewhere, read_holder, release, try_lock
from resnext_det.training.run_folder import LOCK

_CHECK, _LOCKS = "output folder", "locks"


def look(output: Path) -> Iterator[Finding]:
    """Writes, locks and replaces a file in a folder of its own, and removes that.

    Where a run has the folder, that is told, too; its own lock is not touched.

    Args:
        output: where runs are to be written.
    """
    output = output.expanduser().absolute()
    nearest = nearest_folder(output)
    if not nearest.is_dir():
        yield problem(_CHECK, f"{nearest} is a file", "Name a folder with --output")
        return
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=nearest) as folder:
            _replace_a_file(Path(folder))
            text = f"{output} can be written" + ("" if output.is_dir() else ", once it is made")
            yield fine(_CHECK, text, folder=str(output))
            yield _locks(Path(folder), output)
            yield from _in_use(output)
    except OSError as error:
        text = f"{nearest} cannot be written ({error.strerror})"
        advice = "Mend its permissions, or name another folder with --output"
        yield problem(_CHECK, text, advice, folder=str(output))


def _replace_a_file(folder: Path) -> None:
    """Does what writing a checkpoint does."""
    old, new = folder / "old", folder / "new"
    old.write_bytes(b"old")
    with new.open("wb") as file:
        file.write(b"new")
        file.flush()
        os.fsync(file.fileno())
    new.replace(old)


def _locks(folder: Path, output: Path) -> Finding:
    path = folder / LOCK
    descriptor = try_lock(path)
    if descriptor is None:
        advice = "Write runs to another file system"
        return problem(_LOCKS, f"{output}: a new file is locked by somebody else", advice)
    try:
        seen = is_seen_elsewhere(descriptor)
    finally:
        release(descriptor, remove=path)
    if seen:
        return fine(
            _LOCKS, f"{output}: a run locks its folder, and other machines see it", seen=True
        )
    text = f"{output}: locks there are not seen by other machines"
    advice = "Give runs on several machines different folders: nothing else keeps them apart"
    return note(_LOCKS, text, advice, seen=False)


def _in_use(output: Path) -> Iterator[Finding]:
    """Tells which run has the folder, as far as its lock's file says."""
    holder = read_holder(output / LOCK)
    if holder is None or (holder.is_here and not holder.is_alive):
        return
    # Nobody sees from here whether a process of another machine still runs.
    doubt = "" if holder.is_here else ", or was when that run ended without a word"
    text = f"{output} is in use by {holder}{doubt}"
    advice = "Wait for that run, end it, or name another folder with --output"
    yield note(_CHECK, text, advice, folder=str(output), pid=holder.pid, host=holder.host)
