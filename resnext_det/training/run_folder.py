"""The folder of a run while a process writes into it. Engine-neutral."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from resnext_det.errors import UserError, few
from resnext_det.folder_locks import (
    Holder,
    is_seen_elsewhere,
    keep_from_children,
    read_holder,
    release,
    try_lock,
    write_holder,
)
from resnext_det.training.distributed import broadcast_object, is_main
from resnext_det.training.log import make_folder
from resnext_det.training.restarts import goes_on_by_itself, is_restarted
from resnext_det.whole_files import MEND, disk_errors_in_one_line, remove_partial

LOCK = "run.lock"
INFERENCE = "inference"
PATIENCE = 30.0
"""Seconds that processes which torchrun has ended get to be gone."""

logger = logging.getLogger(__name__)


@contextmanager
def hold_run_folder(output_dir: str | Path) -> Iterator[None]:
    """Holds OUTPUT_DIR for this run alone, in all its processes.

    The main process has the lock, which ends with it however it ends. Where the body finds the
    disk full, that is one line.

    Args:
        output_dir: the folder, which is made where it is absent.

    Raises:
        UserError: another run is writing there, or the folder cannot be written to.
    """
    folder = Path(output_dir)
    descriptor, refusal, is_new = -1, "", not os.path.exists(folder)
    try:
        if is_main():
            descriptor = _take(folder)
    except UserError as error:
        refusal = str(error)
    if refusal := broadcast_object(refusal):
        raise UserError(refusal)
    try:
        with disk_errors_in_one_line(folder):
            yield
    finally:
        if descriptor >= 0:
            release(descriptor, remove=folder / LOCK)
            if is_new:
                with suppress(OSError):
                    folder.rmdir()  # where the body refused before it wrote anything


def clear_run_folder(output_dir: str | Path) -> None:
    """Removes what a killed run left half written; in the main process, once there is a log."""
    folder = Path(output_dir)
    if not is_main():
        return
    left = [*remove_partial(folder), *remove_partial(folder / INFERENCE)]
    if left:
        logger.info("Removed what a killed run left half written: %s", few(left))


def _take(folder: Path) -> int:
    make_folder(folder)
    path = folder / LOCK
    descriptor = None
    try:
        descriptor = _wait_for(path)
        holder = read_holder(path)
        if descriptor is None:
            raise UserError(
                f"{folder} is in use by {holder or 'another process'}: wait for that run, end it, "
                "or choose another OUTPUT_DIR"
            )
        _check_elsewhere(path, descriptor, holder)
        keep_from_children(descriptor)
        write_holder(descriptor, os.getpid())
    except OSError as error:
        if descriptor is not None:
            release(descriptor, remove=path)
        raise UserError(
            f"OUTPUT_DIR {folder}: {LOCK} cannot be written there ({error.strerror}): {MEND}"
        ) from error
    return descriptor


def _wait_for(path: Path) -> int | None:
    """Locks the folder; after a restart by torchrun the processes before may still be ending."""
    end = time.monotonic() + (PATIENCE if is_restarted() else 0.0)
    while (descriptor := try_lock(path)) is None and time.monotonic() < end:
        time.sleep(0.1)
    return descriptor


def _check_elsewhere(path: Path, descriptor: int, holder: Holder | None) -> None:
    """Refuses a folder whose last run, on another machine, may still be writing."""
    if holder is None or holder.is_here:
        return
    # torchrun has ended all processes before it starts them again, rank 0 elsewhere perhaps.
    if is_seen_elsewhere(descriptor) or goes_on_by_itself(path.parent):
        logger.warning("%s: the run of %s ended without a word", path.parent, holder)
        return
    os.close(descriptor)  # and what the file says stays
    raise UserError(
        f"{path.parent} is in use by {holder}, whose locks are not seen from here: end it, or "
        f"where it is gone remove {path}"
    )
