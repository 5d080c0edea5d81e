"""The index of a set of shards: `index.json`, with a table of the images beside it. Engine-neutral.

`index.json` names the shards with their sizes and SHA-256 sums, the classes, and the table
(`index.npz`, see `sample_table`). Both come from a server like the shards do, so nothing in them is
believed unchecked: names stay inside the folder, sizes are numbers.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnext_det.data.catalog import is_one_line
from resnext_det.data.sample_table import SampleTable, table_bytes
from resnext_det.errors import UserError
from resnext_det.json_files import read_json
from resnext_det.whole_files import write_text_safe, write_whole

INDEX_NAME = "index.json"
FORMAT = "resnext_det.shards/1"
_MOST_BYTES = 1 << 50
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class IndexedFile:
    """A shard, or the table of samples.

    Attributes:
        name: its file name.
        size: its bytes.
        sha256: its digest in hexadecimal; "" where nobody has computed it.
        samples: how many images are in it.
    """

    name: str
    size: int
    sha256: str
    samples: int


@dataclass(frozen=True)
class ShardIndex:
    """What `index.json` says.

    Attributes:
        class_names: the K names.
        shards: in the order of the table.
        table: its file; `samples` is the images of all shards.
    """

    class_names: tuple[str, ...]
    shards: tuple[IndexedFile, ...]
    table: IndexedFile


def read_index(path: Path, shown: str) -> ShardIndex:
    """Reads an index.

    Args:
        path: the file.
        shown: what messages call it: its path or address.

    Raises:
        UserError: it is not there, is no index, or holds something that cannot be right.
    """
    try:
        content = read_json(path)
    except UserError as error:
        raise UserError(f"{shown}: {str(error).removeprefix(f'{path}: ')}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(
            f"{shown}: not an index of shards ({FORMAT}); write one with: "
            "resnext-det dataset prepare shards --index-only FOLDER"
        )
    try:
        names = content["class_names"]
        shards = [_indexed_file(item, shown) for item in content["shards"]]
        table = _indexed_file(content["table"], shown)
    except (KeyError, TypeError) as error:
        raise UserError(f"{shown}: damaged: {error} is missing or of another kind") from error
    if not isinstance(names, list) or not all(isinstance(n, str) and is_one_line(n) for n in names):
        raise UserError(f"{shown}: class_names is not a list of names")
    if not shards or table.samples != sum(shard.samples for shard in shards):
        raise UserError(f"{shown}: the images of its shards do not add up to {table.samples}")
    twice = len({shard.name for shard in shards}) < len(shards)
    if twice or table.name in {shard.name for shard in shards}:
        raise UserError(f"{shown}: names a file twice")
    return ShardIndex(tuple(names), tuple(shards), table)


def write_index(
    path: Path, class_names: Sequence[str], shards: Sequence[IndexedFile], table: SampleTable
) -> None:
    """Writes an index and its table, the table first.

    Raises:
        UserError: the disk refuses.
    """
    data = table_bytes(table)
    table_path = path.with_suffix(".npz")
    write_whole(table_path, lambda file: file.write(data))
    digest = hashlib.sha256(data).hexdigest()
    content = {
        "format": FORMAT,
        "class_names": list(class_names),
        "table": _as_json(IndexedFile(table_path.name, len(data), digest, len(table))),
        "shards": [_as_json(shard) for shard in shards],
    }
    write_text_safe(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _as_json(file: IndexedFile) -> dict[str, Any]:
    return {
        "name": file.name, "bytes": file.size, "sha256": file.sha256, "samples": file.samples,
    }  # fmt: skip


def _indexed_file(item: Any, shown: str) -> IndexedFile:
    name, size, sha256, samples = (item[key] for key in ("name", "bytes", "sha256", "samples"))
    if not isinstance(name, str) or not _is_file_name(name):
        raise UserError(f"{shown}: {str(name)[:60]!r} is not the plain name of a file beside it")
    for number in (size, samples):
        if type(number) is not int or not 0 < number < _MOST_BYTES:
            raise UserError(f"{shown}: {name} has {str(number)[:40]} bytes or samples in it")
    if not isinstance(sha256, str) or not (sha256 == "" or _DIGEST.fullmatch(sha256)):
        raise UserError(f"{shown}: the sha256 of {name} is not 64 hexadecimal digits")
    return IndexedFile(name, size, sha256, samples)


def _is_file_name(name: str) -> bool:
    plain = bool(name) and not name.startswith(".") and is_one_line(name)
    return plain and not set(name) & set("/\\?#%:") and len(name.encode()) <= 200
