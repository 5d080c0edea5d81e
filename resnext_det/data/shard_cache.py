"""Where shards are: in a folder, or on a server and in a cache. Engine-neutral.

A file of a server is fetched whole, once per machine: the processes of a run share the cache and
lock each file while it is fetched. A cached file is known by its digest, so that a set that was
written again is never mixed with its older self.
"""

import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urljoin

from filelock import Timeout

from resnext_det.cache_folder import cache_folder, locked
from resnext_det.data.sample_table import SampleTable
from resnext_det.data.shard_index import IndexedFile
from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of
from resnext_det.http_files import Patience, Wanted, fetch_file

_LARGEST_INDEX = 1 << 26  # bytes; 64 MiB names a million shards
_REWRITTEN = "or the shards were written again and the index in the cache is old"


class ShardPlace(Protocol):
    """Where shards are. It is pickled once for each worker process."""

    def find(self, file: IndexedFile) -> Path:
        """Returns the path of a file, which is there unless another process just removed it.

        Raises:
            UserError: it is missing, or cannot be fetched.
        """
        ...

    def shown(self, file: IndexedFile) -> str:
        """Returns what messages call a file."""
        ...


@dataclass(frozen=True)
class LocalPlace:
    """Shards in a folder."""

    folder: Path

    def find(self, file: IndexedFile) -> Path:
        """Returns the path of a shard, whose size is as the index says.

        Raises:
            UserError: it is missing or has another size.
        """
        path = self.folder / file.name
        try:
            size = path.stat().st_size
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such shard, but the index names it") from error
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        if size != file.size:
            raise UserError(
                f"{path}: has {size} bytes, but the index says {file.size}: it is cut off or was "
                "written again; mend it, or write the index again"
            )
        return path

    def shown(self, file: IndexedFile) -> str:
        """Returns the path."""
        return str(self.folder / file.name)


@dataclass(frozen=True)
class RemotePlace:
    """Shards on a server, with a cache.

    Attributes:
        address: of the index; the shards lie beside it.
        folder: of the cache.
        limit: bytes that the cache may take, where those it needs at once fit; None for any.
        patience: how long the server is waited for.
    """

    address: str
    folder: Path
    limit: int | None = None
    patience: Patience = field(default_factory=Patience)

    def find(self, file: IndexedFile) -> Path:
        """Returns the path of a file in the cache, and fetches it if it is not there.

        Raises:
            UserError: see `fetch_file`.
        """
        path = self._path(file)
        if not _is_there(path, file.size):
            with locked(path):
                self._fetch_unless_there(file, path)
        return path

    def fetch_unless_busy(self, file: IndexedFile) -> bool:
        """Fetches a file unless another process is at it.

        Returns:
            Whether this call fetched it.

        Raises:
            UserError: see `fetch_file`.
        """
        path = self._path(file)
        if _is_there(path, file.size):
            return False
        try:
            with locked(path, wait=False):
                return self._fetch_unless_there(file, path)
        except Timeout:
            return False

    def fetch_index(self) -> Path:
        """Returns the path of the index in the cache; the server is asked only the first time.

        Raises:
            UserError: see `fetch_file`.
        """
        digest = hashlib.sha256(self.address.encode()).hexdigest()
        path = self.folder / f"{digest}.json"
        if path.exists():
            logging.getLogger(__name__).info(
                "%s: taken from %s; remove that file if the set was written again",
                self.address, path,
            )  # fmt: skip
            return path
        with locked(path):
            if not path.exists():
                fetch_file(Wanted(self.address, largest=_LARGEST_INDEX), path, self.patience)
        return path

    def adopt(
        self, name: str, scan: Callable[[Path], SampleTable]
    ) -> tuple[SampleTable, IndexedFile]:
        """Fetches a shard that no index tells of, and keeps it by its digest.

        Args:
            name: of the shard.
            scan: finds its images.

        Raises:
            UserError: see `fetch_file`; what `scan` raises.
        """
        unknown = IndexedFile(name, 0, "", 0)
        address, path = self.shown(unknown), self._path(unknown)
        with locked(path):
            if self.limit is not None:
                make_room(self.folder, self.limit)
            if not path.exists():
                fetch_file(Wanted(address), path, self.patience)
            try:
                table = scan(path)
            except UserError as error:
                path.unlink()
                raise UserError(str(error).replace(str(path), address)) from error
            file = IndexedFile(name, path.stat().st_size, sha256_of(path), len(table))
            path.replace(self._path(file))
        return table, file

    def shown(self, file: IndexedFile) -> str:
        """Returns the address of a file."""
        return urljoin(self.address, quote(file.name))

    def _path(self, file: IndexedFile) -> Path:
        key = file.sha256 or hashlib.sha256(self.shown(file).encode()).hexdigest()
        return self.folder / f"{key}{Path(file.name).suffix}"

    def _fetch_unless_there(self, file: IndexedFile, path: Path) -> bool:
        if _is_there(path, file.size):
            return False
        if self.limit is not None:
            make_room(self.folder, self.limit - file.size)
        wanted = Wanted(self.shown(file), file.size, file.sha256, if_other=_REWRITTEN)
        fetch_file(wanted, path, self.patience)
        return True


def remote_place(address: str) -> RemotePlace:
    """Returns the place of a server's shards, with the cache that the environment names.

    The cache lies in `$RESNEXT_DET_CACHE`, by default `~/.cache/resnext_det`, and keeps what it
    has, or where `$RESNEXT_DET_CACHE_GB` is set no more than that (10^9 bytes each).

    Raises:
        UserError: the size is no number.
    """
    said = os.environ.get("RESNEXT_DET_CACHE_GB", "").strip()
    try:
        limit = round(float(said) * 1e9) if said else None
        if limit is not None and limit <= 0:
            raise ValueError(said)
    except (ValueError, OverflowError) as error:
        raise UserError(
            f"RESNEXT_DET_CACHE_GB {said!r}: give the size of the cache in GB, as 200"
        ) from error
    return RemotePlace(address, cache_folder("shards"), limit)


def make_room(folder: Path, limit: int) -> None:
    """Removes the shards that were used longest ago, until the others take `limit` bytes at most.

    Processes that have one open read on in it.
    """
    used = []
    for path in folder.glob("*.tar"):
        try:
            stat = path.stat()
        except FileNotFoundError:  # another process makes room, too
            continue
        used.append((stat.st_mtime_ns, stat.st_size, path))
    total = sum(size for _, size, _ in used)
    for _, size, path in sorted(used):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= size


def mark_used(path: Path) -> None:
    """Notes that a cached file is used now."""
    try:
        os.utime(path)
    except OSError:  # a cache that may only be read, or a file that is gone
        return


def _is_there(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
