"""Freed memory that stays with the process for the next image. Engine-neutral."""

import ctypes
import sys

from resnext_det.errors import UserError

# glibc's malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_MOST = 2**31 - 1  # mallopt takes an int


def keep_memory() -> None:
    """Has the C library keep the memory of large tensors that are freed, in the whole process.

    It usually returns each to the system, whose pages have to be cleared and handed out anew for
    the next one: on a CPU that takes longer than ReLU does. Memory that other parts of the
    process then free stays in its possession, too.

    Raises:
        UserError: the C library is not glibc.
    """
    if not can_keep_memory():
        raise UserError("keep_memory needs the GNU C library of Linux: leave it out")
    _set(_M_MMAP_MAX, 0)
    _set(_M_TRIM_THRESHOLD, _MOST)


def can_keep_memory() -> bool:
    """Tells whether the C library is one that `keep_memory` knows."""
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    return hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")


def _set(parameter: int, value: int) -> None:
    ctypes.CDLL(None).mallopt(parameter, value)
