"""Archives read forward, once, and digested on the way. Engine-neutral.

tarfile reads from anything with read, tell and seek. What is given to it here never goes back and
never reads much at a time, so an archive in an archive is streamed, and a header that claims
gigabytes is refused instead of obeyed.
"""

import gzip
import hashlib
import io
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Protocol

from resnext_det.data.manifest import SourceFile
from resnext_det.errors import UserError

CHUNK = 1 << 22
"""Bytes read from the disk at a time."""
LARGEST_MEMBER = 1 << 28
"""Bytes that one image, batch or table of an archive may have: CIFAR-100's batch has 155 MB."""


class Source(Protocol):
    """Bytes that are read forward."""

    def read(self, size: int, /) -> bytes:
        """Returns the next `size` bytes, or fewer at the end."""
        ...

    def skip(self, size: int) -> None:
        """Goes over the next `size` bytes."""
        ...


class ForwardReader:
    """A part of a source, as tarfile wants it.

    Args:
        source: what is read; nothing else reads it meanwhile.
        name: what messages call it.
        size: bytes that belong to this part; None for all there are.
    """

    def __init__(self, source: Source, name: str, size: int | None = None) -> None:
        self.name = name
        self.last = b""  # what was read last: the end of a tar archive is a block of zeros
        self._source = source
        self._size = size
        self._position = 0

    def read(self, size: int, /) -> bytes:
        """Returns the next bytes.

        Raises:
            UserError: it is more than a member may have.
        """
        if size > LARGEST_MEMBER or size < 0:
            raise UserError(f"{self.name}: a member claims {size:,} bytes: damaged, or not meant")
        if self._size is not None:
            size = max(0, min(size, self._size - self._position))
        self.last = self._source.read(size)
        self._position += len(self.last)
        return self.last

    def skip(self, size: int) -> None:
        """Goes over the next bytes."""
        self._source.skip(size)
        self._position += size

    def tell(self) -> int:
        """Returns how many bytes of this part are behind."""
        return self._position

    def seek(self, position: int) -> int:
        """Goes forward to a place.

        Raises:
            UserError: it is behind, which only a damaged header asks for.
        """
        if position < self._position:
            raise UserError(f"{self.name}: damaged: a member points back into the archive")
        if position > self._position:
            self.skip(position - self._position)
        return position


class ArchiveFile:
    """A file on disk, read forward; digested where that is asked for.

    Args:
        path: the file.
        digests: what is given every byte; None to go over unwanted parts without reading them.
        advance: is told how many bytes were read or gone over.
        chunk: bytes read from the disk at a time.
    """

    def __init__(
        self,
        path: Path,
        digests: "Digests | None",
        advance: Callable[[int], None],
        chunk: int = CHUNK,
    ) -> None:
        self._raw = _RawFile(path, digests, advance)
        self._file = io.BufferedReader(self._raw, chunk)
        self._digested = digests is not None
        self._path = path

    def read(self, size: int, /) -> bytes:
        """Returns the next bytes."""
        try:
            return self._file.read(size)
        except OSError as error:
            raise UserError(f"{self._path}: cannot be read ({error.strerror})") from error

    def skip(self, size: int) -> None:
        """Goes over bytes: reads them where they are digested."""
        if self._digested:
            _read_over(self, size)
        else:
            self._file.seek(size, io.SEEK_CUR)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class GzipSource:
    """The bytes of a gzip file, unpacked as they are read."""

    def __init__(self, file: ArchiveFile, name: str) -> None:
        self._file = gzip.GzipFile(fileobj=file, mode="rb")  # type: ignore[arg-type]
        self._name = name

    def read(self, size: int, /) -> bytes:
        """Returns the next bytes.

        Raises:
            UserError: it is no gzip file, cut off or damaged.
        """
        try:
            return self._file.read(size)
        except gzip.BadGzipFile as error:
            raise UserError(f"{self._name}: not a gzip file, or damaged ({error})") from error
        except (EOFError, OSError, zlib.error) as error:
            raise UserError(f"{self._name}: cut off or damaged ({error})") from error

    def skip(self, size: int) -> None:
        """Unpacks bytes and drops them."""
        _read_over(self, size)


def _read_over(source: Source, size: int) -> None:
    """Reads the next bytes, or those up to the end, and drops them."""
    while size > 0 and (chunk := len(source.read(min(size, CHUNK)))):
        size -= chunk


class Digests:
    """MD5, as archives are published with it, and SHA-256, in a thread beside the reading."""

    def __init__(self) -> None:
        self._hashes = (hashlib.md5(usedforsecurity=False), hashlib.sha256())
        self._chunks: Queue[bytes | None] = Queue(maxsize=8)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def update(self, chunk: bytes) -> None:
        """Takes the next bytes; waits while the thread is far behind."""
        self._chunks.put(chunk)

    def finish(self) -> tuple[str, str]:
        """Returns MD5 and SHA-256 of all that was taken, hexadecimal."""
        self._chunks.put(None)
        self._thread.join()
        md5, sha256 = self._hashes
        return md5.hexdigest(), sha256.hexdigest()

    def _run(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            for digest in self._hashes:
                digest.update(chunk)


class Opened:
    """An archive that is being read.

    Attributes:
        file: its bytes.
        source: its name and size, with the digests once the block is left where they are asked for.
    """

    def __init__(self, path: Path, file: ArchiveFile) -> None:
        self.file = file
        self.source = SourceFile(path.name, path.stat().st_size)


@contextmanager
def open_archive(
    path: Path,
    *,
    digest: bool,
    advance: Callable[[int], None] = lambda _: None,
    chunk: int = CHUNK,
) -> Iterator[Opened]:
    """Opens an archive for one pass.

    Args:
        path: the file.
        digest: compute MD5 and SHA-256; what the block leaves unread is read for them.
        advance: is told how many bytes were read.
        chunk: bytes read from the disk at a time.

    Raises:
        UserError: it cannot be read.
    """
    check_archive(path)
    digests = Digests() if digest else None
    file = ArchiveFile(path, digests, advance, chunk)
    opened = Opened(path, file)
    finished = False
    try:
        yield opened
        finished = True
        if digests is not None:
            file.skip(opened.source.size)
    finally:
        file.close()
        sums = digests.finish() if digests is not None else None
        if finished and sums is not None:
            opened.source = SourceFile(path.name, opened.source.size, *sums)


def check_archive(path: Path) -> None:
    """Checks that an archive is there.

    Raises:
        UserError: it is not, or is a folder.
    """
    if path.is_dir():
        raise UserError(f"{path}: a folder; the archive itself is needed")
    if not path.is_file():
        raise UserError(f"{path}: no such archive")


class _RawFile(io.RawIOBase):
    """A file whose bytes are digested as they are read."""

    def __init__(self, path: Path, digests: Digests | None, advance: Callable[[int], None]) -> None:
        super().__init__()
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 -- closed by close()
        self._digests = digests
        self._advance = advance

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._digests is None

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        size = self._file.readinto(buffer) or 0
        if self._digests is not None and size:
            self._digests.update(bytes(buffer[:size]))
        self._advance(size)
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        before = self._file.tell()
        after = self._file.seek(offset, whence)
        self._advance(after - before)
        return after

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()
