"""Where each image of a set of shards lies: a table of arrays in one file. Engine-neutral.

The file is an `.npz` without compression, so its arrays are mapped into memory: worker processes
share the pages, and none of them holds a Python object per image.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.npz import mapped_array
from resnext_det.data.plain_files import LARGEST_IMAGE
from resnext_det.errors import UserError

_TYPES = {
    "offsets": np.int64,
    "lengths": np.int64,
    "labels": np.int32,
    "name_ends": np.int64,
    "name_bytes": np.uint8,
}


@dataclass(frozen=True)
class SampleTable:
    """The images of all shards, shard by shard.

    Attributes:
        offsets: (N,) int64, where an image's bytes begin in its shard.
        lengths: (N,) int64, how many there are.
        labels: (N,) int32 class numbers.
        name_ends: (N,) int64, where its member's name ends in `name_bytes`.
        name_bytes: uint8, the members' names, UTF-8, one after the other.
    """

    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int32]
    name_ends: NDArray[np.int64]
    name_bytes: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.offsets)

    def name(self, index: int) -> str:
        """Returns the name of an image's member."""
        start = int(self.name_ends[index - 1]) if index else 0
        return bytes(self.name_bytes[start : int(self.name_ends[index])]).decode(errors="replace")


def make_table(
    names: Sequence[str], offsets: Sequence[int], lengths: Sequence[int], labels: Sequence[int]
) -> SampleTable:
    """Makes a table of N images."""
    encoded = [name.encode() for name in names]
    return SampleTable(
        np.asarray(offsets, np.int64),
        np.asarray(lengths, np.int64),
        np.asarray(labels, np.int32),
        np.cumsum([len(name) for name in encoded], dtype=np.int64),
        np.frombuffer(b"".join(encoded), np.uint8),
    )


def join_tables(tables: Sequence[SampleTable]) -> SampleTable:
    """Joins the tables of consecutive shards into one."""

    def joined(field: str) -> NDArray[Any]:
        return np.concatenate([getattr(table, field) for table in tables])

    starts = np.cumsum([0, *(len(table.name_bytes) for table in tables[:-1])])
    ends = [table.name_ends + start for table, start in zip(tables, starts, strict=True)]
    return SampleTable(
        joined("offsets"),
        joined("lengths"),
        joined("labels"),
        np.concatenate(ends),
        joined("name_bytes"),
    )


def table_bytes(table: SampleTable) -> bytes:
    """Returns the file of a table; equal tables give equal bytes."""
    file = io.BytesIO()
    np.savez(file, **{field: getattr(table, field) for field in _TYPES})
    return file.getvalue()


def open_table(path: Path) -> SampleTable:
    """Maps a table into memory.

    Raises:
        UserError: the file is missing, torn, compressed, or not such a table.
    """
    try:
        _check_stored(path)
        arrays = {field: mapped_array(path, field) for field in _TYPES}
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; write the index of the shards again") from error
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a table of samples, or cut off") from error
    size = len(arrays["offsets"]) if arrays["offsets"].ndim == 1 else -1
    for field, array in arrays.items():
        right_size = field == "name_bytes" or len(array) == size if array.ndim == 1 else False
        if array.dtype != _TYPES[field] or not right_size:
            raise UserError(f"{path}: not a table of samples ({field} has another form)")
    return SampleTable(**arrays)


def check_table(
    table: SampleTable, path: Path, sizes: Sequence[int], samples: Sequence[int], num_classes: int
) -> None:
    """Checks that a table fits its shards.

    Args:
        table: of N images.
        path: its file, for messages.
        sizes: bytes of each shard.
        samples: images in each shard.
        num_classes: K.

    Raises:
        UserError: it has another number of images; one lies outside its shard, or has no class.
    """
    if len(table) != sum(samples):
        raise UserError(
            f"{path}: holds {len(table)} images, but the index counts {sum(samples)}; "
            "write the index of the shards again"
        )
    room = np.repeat(np.asarray(sizes, np.int64), samples)
    outside = (table.offsets < 0) | (table.lengths < 0) | (table.lengths > room - table.offsets)
    no_class = (table.labels < 0) | (table.labels >= num_classes)
    ends = np.diff(table.name_ends, prepend=0)
    torn = (ends < 0).any() or (len(table) and table.name_ends[-1] != len(table.name_bytes))
    too_big = table.lengths > LARGEST_IMAGE
    for wrong, what in (
        (outside, "lies outside its shard"),
        (too_big, f"is larger than {LARGEST_IMAGE >> 20} MiB"),
        (no_class, "has no such class"),
    ):
        if wrong.any():
            raise UserError(f"{path}: image {int(np.argmax(wrong))} {what}")
    if torn:
        raise UserError(f"{path}: not a table of samples (its names are torn)")


def _check_stored(path: Path) -> None:
    """Refuses what would grow when read."""
    with zipfile.ZipFile(path) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise ValueError("compressed")
