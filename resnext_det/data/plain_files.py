"""Image files opened only where they are plain files of a size that an image has. Engine-neutral.

Whatever lies in a folder under an image's name is opened: a pipe would be waited on for ever, and
a device such as /dev/zero read until the memory is full.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from resnext_det.data.opened_image import UnreadableImage
from resnext_det.errors import UserError

LARGEST_IMAGE = 1 << 28
"""Bytes that an encoded image may have; ImageNet's largest has 15 MB."""


# What is so about the file itself. Anything else (a disk that fails, a server that does not answer)
# may be otherwise the next time, and a run that went on without the image could not be repeated.
_OF_THE_FILE = frozenset(
    {
        errno.EACCES,
        errno.EFBIG,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EPERM,
    }
)


@contextmanager
def file_faults(path: str | Path) -> Iterator[None]:
    """Says of what the system reports about a file whether the file is at fault.

    Raises:
        UnreadableImage: it is no plain file, may not be read, or is too large.
        UserError: it is missing, or its disk fails.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such image") from error
    except OSError as error:
        if error.errno in _OF_THE_FILE:
            raise UnreadableImage(str(error.strerror)) from error
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def open_image_file(path: str | Path) -> BinaryIO:
    """Opens an encoded image.

    Raises:
        OSError: as `read_image_file`.
    """
    file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115  the caller closes it
    try:
        _check(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


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
