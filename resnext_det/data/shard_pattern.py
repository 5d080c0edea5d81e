"""Shards named in braces, without an index: `folder/train-{000000..000146}.tar`. Engine-neutral.

They are scanned once; what was found is kept in the cache as an index of its own. Shards on a
server are fetched for that, all of them.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urljoin

from braceexpand import braceexpand

from resnext_det.cache_folder import locked
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.class_names import class_names_beside, names_of_classes
from resnext_det.data.sample_table import SampleTable, join_tables
from resnext_det.data.shard_cache import RemotePlace, remote_place
from resnext_det.data.shard_index import IndexedFile, ShardIndex, read_index, write_index
from resnext_det.data.shard_scan import scan_shard
from resnext_det.errors import UserError

_MOST_SHARDS = 100_000
_RANGE = re.compile(r"\{(-?\d+)\.\.(-?\d+)")


def is_pattern(entry: DatasetEntry) -> bool:
    """Returns whether an entry names shards one by one, or a single one."""
    if entry.address:
        return entry.address.endswith(".tar")
    return entry.image_root.name.endswith(".tar") and not entry.image_root.is_dir()


def local_index(entry: DatasetEntry) -> tuple[ShardIndex, Path]:
    """Returns the index of shards in a folder, and where it is kept.

    Raises:
        UserError: a name that is none, a missing shard; see `scan_shard`.
    """
    folder = entry.image_root.parent
    paths = [folder / name for name in _expand(entry, entry.image_root.name)]
    given = class_names_beside(folder)
    try:
        stats = [path.stat() for path in paths]
    except OSError as error:
        raise UserError(f"{error.filename}: no such shard of data set '{entry.name}'") from error
    known = [
        (str(p.resolve()), s.st_size, s.st_mtime_ns) for p, s in zip(paths, stats, strict=True)
    ]

    def scan(number: int) -> tuple[SampleTable, IndexedFile]:
        table = scan_shard(paths[number])
        return table, IndexedFile(paths[number].name, stats[number].st_size, "", len(table))

    return _kept_index(remote_place(""), entry, [known, given], given, len(paths), scan)


def remote_index(entry: DatasetEntry) -> tuple[ShardIndex, Path, RemotePlace]:
    """Returns the index of shards on a server, where it is kept, and the place of the shards.

    Raises:
        UserError: a name that is none; a shard that cannot be fetched; see `scan_shard`.
    """
    base, _, last = entry.address.rpartition("/")
    names = _expand(entry, last)
    place = remote_place(urljoin(f"{base}/", "index.json"))

    def scan(number: int) -> tuple[SampleTable, IndexedFile]:
        return place.adopt(unquote(names[number]), scan_shard)

    index, path = _kept_index(place, entry, [entry.address], None, len(names), scan)
    return index, path, place


def _kept_index(
    place: RemotePlace,
    entry: DatasetEntry,
    key: Sequence[object],
    class_names: Sequence[str] | None,
    count: int,
    scan: Callable[[int], tuple[SampleTable, IndexedFile]],
) -> tuple[ShardIndex, Path]:
    """Reads an index from the cache, or scans the shards and keeps one there."""
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    path = place.folder.parent / "indexes" / f"{digest}.json"
    with locked(path):
        if not path.exists():
            scanned = [scan(number) for number in range(count)]
            table = join_tables([table for table, _ in scanned])
            names = names_of_classes(class_names, int(table.labels.max()), entry.location)
            write_index(path, names, [shard for _, shard in scanned], table)
    return read_index(path, str(path)), path


def _expand(entry: DatasetEntry, pattern: str) -> list[str]:
    if any(abs(int(a) - int(b)) > _MOST_SHARDS for a, b in _RANGE.findall(pattern)):
        raise UserError(f"{entry.location}: more than {_MOST_SHARDS} shards")
    try:
        names = list(itertools.islice(braceexpand(pattern), _MOST_SHARDS + 1))
    except ValueError as error:  # UnbalancedBracesError is one
        raise UserError(f"{entry.location}: a brace without its other half") from error
    if len(names) > _MOST_SHARDS or len(set(names)) < len(names):
        raise UserError(f"{entry.location}: names a shard twice, or more than {_MOST_SHARDS}")
    if "{" in entry.location[: -len(pattern)] or any("/" in name for name in names):
        raise UserError(f"{entry.location}: the shards of a set lie in one folder")
    return names
