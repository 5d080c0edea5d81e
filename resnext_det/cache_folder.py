"""Where files are kept between runs, and who may write there. Engine-neutral.

Processes of a machine, or of several that share a disk, share the cache.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resnext_det.errors import UserError

OFFLINE = "RESNEXT_DET_OFFLINE"
_YES = ("1", "true", "yes", "on")


def cache_folder(kind: str) -> Path:
    """Returns the folder for a kind of files, which need not be there yet.

    It lies in `$RESNEXT_DET_CACHE`, by default `~/.cache/resnext_det`.

    Args:
        kind: "acceleration", "shards" or "weights".
    """
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    root = os.environ.get("RESNEXT_DET_CACHE") or f"{home}/resnext_det"
    return Path(root).expanduser() / kind


def is_set(variable: str) -> bool:
    """Tells whether a variable of the environment says yes: 1, true, yes or on."""
    return os.environ.get(variable, "").strip().lower() in _YES


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Holds a file's lock; it is the system's, so it ends with the process that holds it.

    Raises:
        Timeout: another process holds it, and `wait` is False.
        UserError: the folder cannot be written.
    """
    from filelock import FileLock, Timeout  # brings asyncio; only for who locks

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock", timeout=-1 if wait else 0)
        lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        raise UserError(
            f"{path.parent}: the cache cannot be written ({error.strerror}); set RESNEXT_DET_CACHE "
            "to a folder that can"
        ) from error
    try:
        yield
    finally:
        lock.release()
