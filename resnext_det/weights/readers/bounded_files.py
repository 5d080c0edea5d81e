"""A file that returns no more than it holds, whatever is asked of it. Engine-neutral."""

import io
from typing import IO

from resnext_det.errors import UserError


class BoundedFile:
    """An open file; `read` of a terabyte takes no terabyte first, as Python's own would.

    Args:
        file: opened for reading, unchanged while it is read.
        most: bytes that one `read` may return; None for all that are left.

    Attributes:
        size: of the file, in bytes.
    """

    def __init__(self, file: IO[bytes], most: int | None = None) -> None:
        self._file = file
        self.most = most
        self.size = file.seek(0, io.SEEK_END)
        self._place = file.seek(0)

    def read(self, count: int = -1, /) -> bytes:
        """Reads at most `count` bytes, or what is left.

        Raises:
            UserError: more than `most` were asked for, and are there.
        """
        left = max(self.size - self._place, 0)
        wanted = left if count < 0 else min(count, left)
        if self.most is not None and wanted > self.most:
            raise UserError(f"{wanted:,} bytes where {self.most:,} are enough")
        data = self._file.read(wanted)
        self._place += len(data)
        return data

    def readline(self) -> bytes:
        """Reads a line."""
        line = self._file.readline()
        self._place += len(line)
        return line

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place."""
        self._place = self._file.seek(offset, whence)
        return self._place

    def tell(self) -> int:
        """Returns the place."""
        return self._place

    def seekable(self) -> bool:
        """Tells that it has places."""
        return True

    def readable(self) -> bool:
        """Tells that it can be read."""
        return True
