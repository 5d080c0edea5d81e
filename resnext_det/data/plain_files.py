"""Image files opened only where they are plain files of a size that an image has. Engine-neutral.

Whatever lies in a folder under an image's name is opened: a pipe would be waited on for ever, and
a device such as /dev/zero read until the memory is full.
"""

import errno
import os
import stat
from pathlib import Path

LARGEST_IMAGE = 1 << 28
"""Bytes that an encoded image may have; ImageNet's largest has 15 MB."""


def read_image_file(path: str | Path) -> bytes:
    """Reads an encoded image.

    Raises:
        OSError: there is no such file, it is no plain file, or it has more than LARGEST_IMAGE
            bytes; `strerror` says which.
    """
    with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
        _check(os.fstat(file.fileno()), path)
        return file.readall()


def image_file_size(path: str | Path) -> int:
    """Returns the bytes of an encoded image, which is not opened.

    Raises:
        OSError: as `read_image_file`.
    """
    found = os.stat(path)
    _check(found, path)
    return found.st_size


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # else a pipe is waited on here already


def _check(found: os.stat_result, path: str | Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    if found.st_size > LARGEST_IMAGE:
        raise OSError(
            errno.EFBIG, f"{found.st_size:,} bytes; at most {LARGEST_IMAGE:,} are read", str(path)
        )
