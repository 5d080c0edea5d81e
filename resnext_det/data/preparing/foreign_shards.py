"""The index of shards that another program wrote. Engine-neutral."""

import re
from pathlib import Path

from resnext_det.data.class_names import class_names_beside, names_of_classes, read_class_names
from resnext_det.data.manifest import SplitRecord, read_manifest, write_manifest
from resnext_det.data.preparing.journal import Journal
from resnext_det.data.preparing.progress import bar
from resnext_det.data.preparing.shards import (
    JOURNAL,
    count_classes,
    hashed_file,
    shards_record,
)
from resnext_det.data.sample_table import join_tables
from resnext_det.data.shard_index import INDEX_NAME, IndexedFile, write_index
from resnext_det.data.shard_scan import scan_shard
from resnext_det.errors import UserError


def index_shards(folder: Path, names_file: Path | None = None, *, command: str = "") -> SplitRecord:
    """Writes the index of a folder of shards; the shards stay as they are.

    An interrupted call goes on with the first shard that it had not finished.

    Args:
        folder: the shards, all of one set.
        names_file: of class names, a line each or a JSON list; `classnames.txt` in the folder
            where it is None, and without that the class numbers are the names.
        command: the command line, for the manifest.

    Raises:
        UserError: there are no shards, or of several sets; see `scan_shard` and
            `names_of_classes` for the rest.
    """
    paths = list_shards(folder)
    given = class_names_beside(folder) if names_file is None else read_class_names(names_file)
    journal = Journal(folder / JOURNAL, {"kind": "index", "shards": [p.name for p in paths]})
    tables, shards = [], []
    with bar("reading shards", sum(p.stat().st_size for p in paths), in_bytes=True) as advance:
        for path in paths:
            table = scan_shard(path)
            shards.append(_hashed(path, len(table), journal))
            tables.append(table)
            advance(shards[-1].size)
    table = join_tables(tables)
    names = names_of_classes(given, int(table.labels.max()), str(folder))
    write_index(folder / INDEX_NAME, names, shards, table)
    record = shards_record(folder, count_classes(names, tables), shards, command)
    write_manifest(folder, read_manifest(folder).with_split(folder.resolve().name, record))
    journal.remove()
    return record


def list_shards(folder: Path) -> list[Path]:
    """Returns the tars of a folder, sorted.

    Raises:
        UserError: there are none, or of several sets.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; it should hold shards (*.tar)")
    paths = sorted(path for path in folder.glob("*.tar") if not path.name.startswith("."))
    if not paths:
        raise UserError(f"{folder}: no shards (*.tar) in it")
    families = {re.sub(r"\d+", "#", path.name): path.name for path in reversed(paths)}
    if len(families) > 1:
        first, second, *_ = sorted(families.values())
        raise UserError(
            f"{folder}: holds shards of {len(families)} sets ({first}, {second}): give each a "
            "folder of its own, or name one at training, as NAME=FOLDER/train-{000000..000146}.tar"
        )
    return paths


def _hashed(path: Path, samples: int, journal: Journal) -> IndexedFile:
    known, stat = journal.parts.get(path.name), path.stat()
    if known is not None and [known["bytes"], known["time"]] == [stat.st_size, stat.st_mtime_ns]:
        return IndexedFile(path.name, known["bytes"], known["sha256"], samples)
    shard = hashed_file(path, samples)
    journal.add(path.name, bytes=shard.size, time=stat.st_mtime_ns, sha256=shard.sha256)
    return shard
