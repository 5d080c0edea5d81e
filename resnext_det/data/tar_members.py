"""The files in a tar, found by its headers alone. Engine-neutral.

Python's `tarfile` reads the headers, through a file that hands it a limited number of bytes per
member: a header of a few bytes may otherwise claim names and attributes of any length.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from resnext_det.data.catalog import is_one_line
from resnext_det.errors import UserError

_HEADER_BYTES = 64 * 1024
"""Bytes of headers per member: name and attributes need a few hundred."""
_GLOBAL_ATTRIBUTES = 1000
_BLOCK = tarfile.BLOCKSIZE
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7z": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class TarMember(NamedTuple):
    """A regular file in a tar.

    Attributes:
        name: its path in the tar.
        offset: where its bytes begin.
        size: how many there are.
    """

    name: str
    offset: int
    size: int


def tar_members(path: Path) -> Iterator[TarMember]:
    """Yields the regular files of a tar, in order, without reading them.

    Raises:
        UserError: the file is missing, compressed, damaged or cut off, or has a link, a device
            or a name that no line can hold in it.
    """
    try:
        with path.open("rb") as file:
            yield from _members_of(path, file)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _members_of(path: Path, file: BinaryIO) -> Iterator[TarMember]:
    size = path.stat().st_size
    _check_start(path, file)
    limited: Any = _HeaderReader(path, file)  # what tarfile needs of a file to read headers
    try:
        # "r:" is a plain tar; "surrogateescape" is the default, and such names are refused below.
        with tarfile.open(fileobj=limited, mode="r:", encoding="utf-8") as archive:
            headers: Any = archive
            while (member := archive.next()) is not None:
                found = _checked(path, member, size)
                limited.start_member()
                headers.members = []  # tarfile keeps every header it has seen
                if len(archive.pax_headers) > _GLOBAL_ATTRIBUTES:
                    raise UserError(f"{path}: more than {_GLOBAL_ATTRIBUTES} attributes for all")
                if found is not None:
                    yield found
            end = archive.offset
    except (tarfile.TarError, RecursionError, ValueError, OverflowError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: not a tar, or damaged ({_first_line(error)})") from error
    _check_end(path, file, end)


def _check_start(path: Path, file: BinaryIO) -> None:
    start = file.read(_BLOCK)
    file.seek(0)
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise UserError(f"{path}: compressed ({name}); shards are plain tars, unpack it once")
    if not start:
        raise UserError(f"{path}: empty, not a tar")


def _checked(path: Path, member: tarfile.TarInfo, size: int) -> TarMember | None:
    """Returns a regular file, None for a folder."""
    if not is_one_line(member.name):
        raise UserError(f"{path}: a member is named {member.name[:60]!r}, which no line can hold")
    shown = f"{path}: {member.name[:200]}"
    if member.size < 0 or member.offset_data < 0:
        raise UserError(f"{shown} claims {member.size} bytes: the tar is damaged")
    if member.isdir():
        return None
    if not member.isreg() or member.issparse():
        raise UserError(f"{shown} is a link, a device or a sparse file; shards hold plain files")
    if member.offset_data + member.size > size:
        raise UserError(
            f"{shown} claims {member.size} bytes, but the tar ends before: it is cut off"
        )
    return TarMember(member.name, member.offset_data, member.size)


def _check_end(path: Path, file: BinaryIO, end: int) -> None:
    """Checks that the headers ended at the end mark; tarfile takes any rubbish for one."""
    file.seek(end)
    mark = file.read(_BLOCK)
    if len(mark) < _BLOCK:
        raise UserError(f"{path}: has no end mark after {end} bytes: the tar is cut off")
    if mark.strip(b"\0"):
        raise UserError(f"{path}: damaged at byte {end}: no header there")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]


class _HeaderReader:
    """A file that hands out few bytes between one member and the next."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._left = _HEADER_BYTES

    def start_member(self) -> None:
        """Gives the next member's headers their bytes."""
        self._left = _HEADER_BYTES

    def read(self, size: int) -> bytes:
        """Reads within the limit."""
        if not 0 <= size <= self._left:
            raise UserError(
                f"{self._path}: a member's headers claim {size} bytes, more than the "
                f"{_HEADER_BYTES} that names and attributes may take"
            )
        self._left -= size
        return self._file.read(size)

    def seek(self, place: int) -> int:
        """Goes to a place; tarfile asks for no other kind of it."""
        return self._file.seek(place)

    def tell(self) -> int:
        """Returns the place."""
        return self._file.tell()
