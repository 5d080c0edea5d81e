"""The members of tar archives, in order, none that an archive should not have. Engine-neutral.

Nothing is unpacked by tarfile: a caller is given the bytes and chooses where they go, and a name
of the archive is at most one plain file name.
"""

import re
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

from resnext_det.data.preparing.archives import LARGEST_MEMBER, ForwardReader
from resnext_det.errors import UserError

MOST_MEMBERS = 2_000_000
"""Files that an archive may have: all of ILSVRC2012 has 1,281,167."""
_ZEROS = bytes(tarfile.BLOCKSIZE)
_PLAIN = re.compile(r"[\w\-][\w.\-]*", re.ASCII)


class Member(NamedTuple):
    """A file in an archive.

    Attributes:
        name: its last part, a plain file name: letters, digits, "-", "_" and ".".
        folder: what stands before it, "" for none; for messages and comparison, never for paths.
        size: bytes.
    """

    name: str
    folder: str
    size: int


def members(reader: ForwardReader, *, largest: int = LARGEST_MEMBER) -> Iterator[Member]:
    """Goes through the files of a tar archive; directories are passed over.

    While a member is at hand the reader stands at its first byte.

    Args:
        reader: the archive.
        largest: bytes that a member may have.

    Raises:
        UserError: the archive is cut off, damaged or no tar; a member is a link, a device, larger
            than that, twice there, or has a name that leads out of the archive's folder.
    """
    seen: set[str] = set()
    try:
        archive = tarfile.TarFile(fileobj=reader, mode="r")  # type: ignore[arg-type]
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined] -- a million would stay in memory
            if info.isdir():
                continue
            _check(info, reader.name, largest)
            path = info.name.removeprefix("./")
            if path in seen:
                raise UserError(f"{reader.name}: '{path}' is in it twice")
            seen.add(path)
            if len(seen) > MOST_MEMBERS:
                raise UserError(f"{reader.name}: more than {MOST_MEMBERS:,} files")
            reader.seek(info.offset_data)
            folder, _, name = path.rpartition("/")
            yield Member(name, folder, info.size)
    except tarfile.TarError as error:
        raise UserError(_damage(reader, seen, str(error))) from error
    if reader.last != _ZEROS:  # tarfile takes the middle of a damaged archive for its end
        raise UserError(_damage(reader, seen, "no end-of-archive mark"))


def read_member(reader: ForwardReader, member: Member) -> bytes:
    """Returns the bytes of the member at hand.

    Raises:
        UserError: the archive ends before them.
    """
    data = reader.read(member.size)
    if len(data) != member.size:
        raise UserError(
            f"{reader.name}: cut off in '{member.name}': {len(data):,} of {member.size:,} bytes"
        )
    return data


def is_plain(name: str) -> bool:
    """Returns whether a name can be that of a file or a folder, without harm."""
    return _PLAIN.fullmatch(name) is not None and len(name) <= 200


def _check(info: tarfile.TarInfo, archive: str, largest: int) -> None:
    shown = repr(info.name if len(info.name) <= 80 else f"{info.name[:77]}...")
    if not info.isreg() or info.issparse():
        raise UserError(f"{archive}: {shown} is a link, a device or sparse, not a plain file")
    parts = info.name.split("/")
    if parts[0] == ".":
        parts = parts[1:]
    if not parts or not all(map(is_plain, parts)):
        raise UserError(f"{archive}: {shown} is no name for an image or a folder of images")
    if not 0 <= info.size <= largest:
        raise UserError(f"{archive}: {shown} claims {info.size:,} bytes; at most {largest:,}")


def _damage(reader: ForwardReader, seen: set[str], reason: str) -> str:
    if not seen:
        return f"{reader.name}: not a tar archive, or empty or damaged ({reason})"
    return f"{reader.name}: cut off or damaged after {len(seen):,} files ({reason})"
