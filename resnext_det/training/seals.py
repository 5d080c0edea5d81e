"""A seal over the bytes of a .pth file that are no tensor's numbers. Engine-neutral.

torch.save writes a zip archive, and torch.load reads past its check sums. The seal is the
archive's comment, which every reader passes over: the SHA-256 sum of all bytes before it but those
of the storages (the records `…/data/…`), which a digest of the content covers. With both, no bit of
a file changes unnoticed.
"""

import hashlib
import struct
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO

_MARK = b"resnext_det sealed sha256 "
_SIZE = len(_MARK) + 64
_RECORD = struct.Struct("<4s22xHH")  # a record's own header: its mark, and two lengths
_END = struct.Struct("<4s16xH")  # of an archive: its mark, and the length of the comment
_CHUNK = 1 << 20


class BrokenSealError(ValueError):
    """A sealed file is not what it was."""


def seal(file: IO[bytes]) -> None:
    """Seals an archive that has just been written, whose comment is empty.

    Args:
        file: open for reading and writing; at its end afterwards.
    """
    storages = list(_storages(file))
    end = file.seek(0, 2)
    file.seek(end - 2)
    file.write(struct.pack("<H", _SIZE))  # the last field, the length of the comment
    found = _digest(file, storages, end)
    file.seek(end)
    file.write(_MARK + found.encode())


def check_seal(file: IO[bytes]) -> bool:
    """Checks a file against its seal, if it has one.

    Args:
        file: open for reading.

    Returns:
        Whether there is a seal.

    Raises:
        BrokenSealError: something but a storage has changed, or the end is missing.
    """
    file.seek(0)
    is_archive = file.read(4) == b"PK\x03\x04"
    if not is_archive or _has_no_comment(file):
        return False
    end = max(0, file.seek(0, 2) - _SIZE)
    file.seek(end)
    comment = file.read()
    if not comment.startswith(_MARK):
        raise BrokenSealError("its end is cut off or changed")
    try:
        found = _digest(file, _storages(file), end)
    except (struct.error, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BrokenSealError("its table of records is changed") from error
    if found.encode() != comment[len(_MARK) :]:
        raise BrokenSealError("its bytes are not those that were sealed")
    return True


def _has_no_comment(file: IO[bytes]) -> bool:
    """Tells whether an archive ends as torch.save leaves it."""
    file.seek(max(0, file.seek(0, 2) - _END.size))
    end = file.read()
    return len(end) == _END.size and _END.unpack(end) == (b"PK\x05\x06", 0)


def _digest(file: IO[bytes], storages: Iterable[tuple[int, int]], end: int) -> str:
    digest = hashlib.sha256()
    place = 0
    for start, size in [*storages, (end, 0)]:
        file.seek(place)
        while place < start and (chunk := file.read(min(_CHUNK, start - place))):
            digest.update(chunk)
            place += len(chunk)
        place = start + size
    return digest.hexdigest()


def _storages(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Where the storages' bytes begin, and how many there are, in the order of the file."""
    with zipfile.ZipFile(file) as archive:
        records = sorted(archive.infolist(), key=lambda record: record.header_offset)
    for record in records:
        if record.filename.partition("/")[2].startswith("data/"):
            file.seek(record.header_offset)
            _, name, extra = _RECORD.unpack(file.read(_RECORD.size))
            start = record.header_offset + _RECORD.size + name + extra
            yield start, record.file_size
