"""Classification sets in WebDataset shards, in a folder or on a server. Engine-neutral.

Any image can be read at any time by its place in its shard: a run from shards draws, decodes and
resumes as one from a folder does.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_set import ClassificationSet, EncodedImage
from resnext_det.data.sample_table import SampleTable, check_table, open_table
from resnext_det.data.shard_cache import (
    LocalPlace,
    RemotePlace,
    ShardPlace,
    mark_used,
    remote_place,
)
from resnext_det.data.shard_index import INDEX_NAME, IndexedFile, ShardIndex, read_index
from resnext_det.data.shard_pattern import is_pattern, local_index, remote_index
from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of

_OPEN_SHARDS = 64
"""Shards that a process keeps open; systems allow 1,024 files or more."""


class ShardImages:
    """The images of a set of shards.

    What is pickled for a worker process is the names of the shards: it opens them, and maps the
    table of their images, when it reads its first image.
    """

    def __init__(self, index: ShardIndex, table: Path, place: ShardPlace) -> None:
        """Takes what was read; nothing is opened yet.

        Args:
            index: the shards.
            table: the path of its table.
            place: where the shards are.
        """
        self.shards = index.shards
        self.place = place
        self._table_path = table
        self._starts = np.cumsum([0, *(shard.samples for shard in index.shards)])
        self._opened: _Opened | None = None

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def name(self, index: int) -> str:
        """Returns `SHARD: MEMBER`."""
        shown = self.place.shown(self.shards[self._shard_of(index)])
        return f"{shown}: {self._here.table.name(self._checked(index))}"

    def label(self, index: int) -> int:
        """Returns the class number of an image."""
        return int(self._here.table.labels[self._checked(index)])

    def read(self, index: int) -> EncodedImage:
        """Reads the bytes of an image.

        Raises:
            UserError: its shard is gone, cut off, or cannot be fetched.
        """
        table = self._here.table
        offset, length = int(table.offsets[self._checked(index)]), int(table.lengths[index])
        name = self.name(index)
        try:
            shard = self._here.shard(self._shard_of(index))
            data = os.pread(shard.descriptor, length, offset)
        except OSError as error:
            raise UserError(f"{name}: cannot be read ({error.strerror})") from error
        if len(data) != length:
            raise UserError(f"{name}: the shard ends before the image does: it is cut off")
        return EncodedImage(name, data, int(table.labels[index]))

    def fetch(self, indices: Iterable[int]) -> None:
        """Sees to it that shards which have to be fetched are in the cache.

        Args:
            indices: of images, in the order they will be read. A shard that another process is
                fetching is left to it.

        Raises:
            UserError: one cannot be fetched.
        """
        if isinstance(self.place, RemotePlace):
            for shard in dict.fromkeys(self._shard_of(index) for index in indices):
                self.place.fetch_unless_busy(self.shards[shard])

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return index

    def _shard_of(self, index: int) -> int:
        return int(np.searchsorted(self._starts, self._checked(index), side="right")) - 1

    @property
    def _here(self) -> "_Opened":
        """What this process has open; a forked one leaves its parent's alone."""
        if self._opened is None or self._opened.process != os.getpid():
            self._opened = _Opened(open_table(self._table_path), self.shards, self.place)
        return self._opened


class _Opened:
    """The table and the shards that a process has open."""

    def __init__(
        self, table: SampleTable, shards: tuple[IndexedFile, ...], place: ShardPlace
    ) -> None:
        self.process = os.getpid()
        self.table = table
        self._shards, self._place = shards, place
        self._open: OrderedDict[int, _OpenShard] = OrderedDict()
        self._lock = threading.Lock()

    def shard(self, number: int) -> "_OpenShard":
        """Returns an open shard; it stays open while somebody holds it."""
        with self._lock:
            if number not in self._open:
                self._open[number] = self._find(self._shards[number])
            self._open.move_to_end(number)
            if len(self._open) > _OPEN_SHARDS:
                self._open.popitem(last=False)
            return self._open[number]

    def _find(self, shard: IndexedFile) -> "_OpenShard":
        path = self._place.find(shard)
        try:
            found = _OpenShard(path)
        except FileNotFoundError:  # another process made room between the two lines above
            found = _OpenShard(self._place.find(shard))
        if isinstance(self._place, RemotePlace):
            mark_used(path)
        return found


class _OpenShard:
    """An open file that is closed when nobody holds it."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


def load_shards(entry: DatasetEntry) -> ClassificationSet:
    """Opens a set of shards in a folder or on a server, by its index or by the shards' names.

    Raises:
        UserError: the index or its table is missing or damaged, or cannot be fetched; a shard of
            a folder is missing or has another size.
    """
    if entry.address:
        return _remote_set(entry)
    if is_pattern(entry):
        index, path = local_index(entry)
        place = LocalPlace(entry.image_root.parent)
    else:
        path = entry.image_root / INDEX_NAME
        index = read_index(path, str(path))
        place = LocalPlace(entry.image_root)
    for shard in index.shards:
        place.find(shard)
    table_path = LocalPlace(path.parent).find(index.table)
    if sha256_of(table_path) != index.table.sha256:
        raise UserError(f"{table_path}: is not the one {path.name} names: write the index again")
    return _set_of(entry, index, table_path, place)


def _remote_set(entry: DatasetEntry) -> ClassificationSet:
    if is_pattern(entry):
        index, path, place = remote_index(entry)
        return _set_of(entry, index, LocalPlace(path.parent).find(index.table), place)
    place = remote_place(entry.address)
    path = place.fetch_index()
    try:
        index = read_index(path, entry.address)
    except UserError:
        path.unlink(missing_ok=True)  # the next start asks the server again
        raise
    for file in (index.table, *index.shards):
        if not file.sha256:
            raise UserError(
                f"{entry.address}: has no sha256 of {file.name}; write the index again with: "
                "resnext-det dataset prepare shards --index-only FOLDER"
            )
    return _set_of(entry, index, place.find(index.table), place)


def _set_of(
    entry: DatasetEntry, index: ShardIndex, table_path: Path, place: ShardPlace
) -> ClassificationSet:
    check_table(
        open_table(table_path),
        table_path,
        [shard.size for shard in index.shards],
        [shard.samples for shard in index.shards],
        len(index.class_names),
    )
    is_remote = isinstance(place, RemotePlace)
    blocks = tuple(shard.samples for shard in index.shards) if is_remote else ()
    images = ShardImages(index, table_path, place)
    return ClassificationSet(entry, images, index.class_names, blocks)


def has_shards(folder: Path) -> bool:
    """Returns whether a folder holds tars, and beside them an index or no folder.

    Raises:
        UserError: the index is missing.
    """
    tar = next(folder.glob("*.tar"), None) if folder.is_dir() else None
    if tar is None or (folder / INDEX_NAME).is_file():
        return tar is not None
    if any(path.is_dir() and not path.name.startswith(".") for path in folder.iterdir()):
        return False
    raise UserError(
        f"{folder}: holds shards ({tar.name}) but no {INDEX_NAME}; write it with: "
        f"resnext-det dataset prepare shards --index-only {folder}"
    )
