"""Files written whole or not at all. Engine-neutral; in the lowest layer.

A file is written under another name beside its place, brought to the disk, and then put in its
place. What a process that is killed in between leaves behind ends in `.partial`.
"""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from resnext_det.errors import UserError

PARTIAL = ".partial"
MEND = (
    "free space or mend the folder, then give the same command again; a training run goes on with "
    "--resume"
)
_DISK = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ENODEV, errno.ESTALE)
)
"""What a disk says that is full, over a quota or a limit (RLIMIT_FSIZE), broken or gone."""
_NO_SUCH_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF)


def write_safe(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a .pth so that a crash at any moment leaves the old file or the new one."""
    import torch  # takes seconds; who writes text needs none

    write_whole(path, lambda file: torch.save(dict(content), file))


def write_text_safe(path: Path, text: str) -> None:
    """Writes a text file in the same way."""
    write_whole(path, lambda file: file.write(text.encode()))


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes any file in the same way; parents are made.

    When it returns, file and name are on the disk, as far as that tells.

    Args:
        path: the file.
        write: is given the open file, for reading too, which takes its place when this returns.

    Raises:
        UserError: the disk takes no more, or refuses the file.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(PARTIAL, f".{path.name}.", path.parent)
        with os.fdopen(handle, "w+b") as file:
            write(file)
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # mkstemp's 0600 would hide it from colleagues
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:  # an interrupt too must leave no half file behind
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if reason := _why_not(error):
            raise UserError(f"{path}: cannot be written ({reason}): {MEND}") from error
        raise


def remove_partial(folder: Path) -> list[str]:
    """Removes what a killed process left half written in a folder that nobody else writes to.

    Returns:
        The names of the files, sorted.
    """
    left = sorted(path for path in folder.glob(f".*{PARTIAL}") if path.is_file())
    for path in left:
        path.unlink(missing_ok=True)
    return [path.name for path in left]


@contextmanager
def disk_errors_in_one_line(folder: Path) -> Iterator[None]:
    """Makes one line of what a disk refuses in the body, whoever was writing.

    Args:
        folder: is named where the error names no file.

    Raises:
        UserError: the disk is full, or broken.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise UserError(f"{error.filename or folder}: {error.strerror}: {MEND}") from error


def _sync_folder(folder: Path) -> None:
    """Brings the names in a folder to the disk, where the system has a way to."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SUCH_SYNC:
            raise
    finally:
        os.close(descriptor)


def _why_not(error: BaseException) -> str | None:
    """What the disk said; torch hides it behind an error of its own."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    return "the disk took no more" if "inline_container" in str(error) else None
