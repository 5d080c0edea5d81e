"""Arrays of an `.npz` file, mapped into memory instead of read. Engine-neutral."""

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOCAL_HEADER = "<4s5H3I2H"
"""The start of a file in a zip archive (APPNOTE.TXT, 4.3.7); its name and extra field follow."""


def mapped_array(path: Path, name: str) -> NDArray[Any]:
    """Opens one array; what was saved without compression stays on disk until it is used.

    Args:
        path: the `.npz` file.
        name: the array's name.

    Raises:
        KeyError: there is no such array.
        ValueError: the array is no plain numbers or text.
        OSError, zipfile.BadZipFile: the file is missing or torn.
    """
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{name}.npy")
        if info.compress_type != zipfile.ZIP_STORED:
            with archive.open(info) as member:
                return np.lib.format.read_array(member, allow_pickle=False)
        with archive.open(info) as member:
            shape, dtype = _read_header(member)
            header = member.tell()
    if dtype.hasobject:
        raise ValueError(f"{name} holds pickled objects")
    if not np.prod(shape):
        return np.zeros(shape, dtype)
    start = _data_start(path, info.header_offset) + header
    if start - header + info.file_size > path.stat().st_size:
        raise ValueError(f"{name} is cut off")
    return np.memmap(path, dtype, "r", start, shape)


def _read_header(member: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(member)
    else:
        shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(member)
    if fortran_order and len(shape) > 1:
        raise ValueError("an array is stored column by column")
    return shape, dtype


def _data_start(path: Path, offset: int) -> int:
    """Returns where a stored file's bytes begin, behind its local header."""
    size = struct.calcsize(_LOCAL_HEADER)
    with path.open("rb") as file:
        file.seek(offset)
        *_, name_length, extra_length = struct.unpack(_LOCAL_HEADER, file.read(size))
    return offset + size + name_length + extra_length
