"""Files of strangers, read only where they are plain ones. Engine-neutral; lowest layer.

In a folder that came from elsewhere any name may be a link out of it, a pipe, which would be waited
on for ever, or a link to a device such as /dev/zero, which would be read until the memory is full.
"""

import errno
import os
import stat
from pathlib import Path

_NOT_PLAIN = "not a plain file"


def check_plain(path: Path) -> None:
    """Checks that a file is a plain one, and no link.

    Raises:
        OSError: it is not, or is not there; `strerror` says which.
    """
    _check(path.lstat(), path)


def read_small(path: Path, most: int) -> bytes:
    """Reads a plain file whole.

    Args:
        path: the file; a link is not followed.
        most: bytes that it may have.

    Raises:
        OSError: there is none, it is not plain or larger, or cannot be read; `strerror` says which.
    """
    with open(path, "rb", opener=_open) as file:
        _check(os.fstat(file.fileno()), path)
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"is larger than {most} bytes", str(path))
    return content


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)  # else a pipe is waited on
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.EINVAL, _NOT_PLAIN, path) from error


def _check(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, _NOT_PLAIN, str(path))
