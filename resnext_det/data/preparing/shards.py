"""A folder of class folders written as WebDataset shards. Engine-neutral.

The images are shuffled once, by a fixed seed, so that every shard is a mix of classes; their bytes
are kept as they are. The same folder and sizes give the same bytes, whether the writing was
interrupted or not.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resnext_det.data.catalog import is_one_line
from resnext_det.data.class_names import CLASS_NAMES
from resnext_det.data.manifest import SourceFile, SplitRecord, read_manifest, write_manifest
from resnext_det.data.plain_files import image_file_size, read_image_file
from resnext_det.data.preparing.folder import class_folders, images_in
from resnext_det.data.preparing.journal import Journal
from resnext_det.data.preparing.progress import bar
from resnext_det.data.sample_table import SampleTable, join_tables
from resnext_det.data.shard_cache import LocalPlace
from resnext_det.data.shard_index import INDEX_NAME, IndexedFile, read_index, write_index
from resnext_det.data.shard_scan import scan_shard
from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of
from resnext_det.seeding import derive_seed
from resnext_det.whole_files import write_text_safe, write_whole

JOURNAL = ".shards.journal.jsonl"
_SHUFFLE = (0, 0, 2)
"""The seed of the one shuffle, apart from those of epochs."""


@dataclass(frozen=True)
class ShardSizes:
    """How much goes into a shard.

    Attributes:
        images: at most so many; 0 for any number.
        size: at most so many bytes of image files, but one image at least; 0 for any.
    """

    images: int = 0
    size: int = 0


@dataclass(frozen=True)
class _Source:
    """An image file to be written."""

    path: str
    label: int
    size: int


def write_shards(
    source: Path, output: Path, sizes: ShardSizes, *, command: str = ""
) -> SplitRecord:
    """Writes shards, their index, the class names and a manifest.

    An interrupted writing goes on with the first shard that it had not finished.

    Args:
        source: a folder of class folders.
        output: the folder of the shards; made if it is not there.
        sizes: of the shards.
        command: the command line, for the manifest.

    Raises:
        UserError: there is no class or no image in one; an image is gone; the folder holds shards
            of something else; the disk takes no more.
    """
    _check_folders(source, output)
    names = [folder.name for folder in class_folders(source)]
    _check_names(source, names)
    images = _shuffled(_list_images(source, names))
    plan = list(_split(images, sizes))
    identity = _identity(source, images, sizes)
    done = _finished(output, identity)
    if done is not None:
        return done
    journal = Journal(output / JOURNAL, identity)
    _check_output(output, journal)
    tables, shards = [], []
    with bar("writing shards", sum(image.size for image in images), in_bytes=True) as advance:
        first = 0
        for number, part in enumerate(plan):
            path = output / f"{_prefix(source)}-{number:06d}.tar"
            table, shard = _finish_shard(path, part, first, journal)
            tables.append(table)
            shards.append(shard)
            first += len(part)
            advance(sum(image.size for image in part))
    write_text_safe(output / CLASS_NAMES, "".join(f"{name}\n" for name in names))
    write_index(output / INDEX_NAME, names, shards, join_tables(tables))
    counts = count_classes(names, tables)
    record = shards_record(source, counts, shards, command, made_from=identity)
    write_manifest(output, read_manifest(output).with_split(output.resolve().name, record))
    journal.remove()
    return record


def count_classes(names: Sequence[str], tables: Sequence[SampleTable]) -> dict[str, int]:
    """Returns the number of images of each class."""
    labels = np.concatenate([table.labels for table in tables])
    return dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))


def shards_record(
    source: Path,
    counts: Mapping[str, int],
    shards: Sequence[IndexedFile],
    command: str,
    **notes: Any,
) -> SplitRecord:
    """Returns what the manifest says of a set of shards.

    Args:
        source: the folder they were made from, or their own.
        counts: class name -> images.
        shards: the shards.
        command: the command line.
        **notes: what else is kept.
    """
    size = sum(shard.size for shard in shards)
    notes = {"shards": len(shards), "bytes": size, **notes}
    folder = SourceFile(str(source.resolve()), 0)
    return SplitRecord("shards", counts, sources=(folder,), command=command, notes=notes)


def hashed_file(path: Path, samples: int) -> IndexedFile:
    """Returns a shard as the index names it; reads it once."""
    return IndexedFile(path.name, path.stat().st_size, sha256_of(path), samples)


def _check_folders(source: Path, output: Path) -> None:
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; it should hold one folder of images per class")
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: a file, not a folder")
    if output.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{output}: lies in {source}, which it is made from: choose another folder")


def _check_names(source: Path, names: Sequence[str]) -> None:
    for name in names:
        if not is_one_line(name):
            raise UserError(
                f"{str(source / name)!r}: this class is named with a line break, a control "
                "character or bytes that are no UTF-8, which no index of shards can hold; rename it"
            )


def _list_images(source: Path, names: Sequence[str]) -> list[_Source]:
    return [
        _Source(path, label, _size_of(path))
        for label, name in enumerate(names)
        for path in images_in(source / name)
    ]


def _size_of(path: str) -> int:
    try:
        return image_file_size(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _shuffled(images: Sequence[_Source]) -> list[_Source]:
    order = np.random.RandomState(derive_seed(*_SHUFFLE)).permutation(len(images))
    return [images[place] for place in order]


def _split(images: Sequence[_Source], sizes: ShardSizes) -> Iterator[list[_Source]]:
    part: list[_Source] = []
    filled = 0
    for image in images:
        too_many = sizes.images and len(part) == sizes.images
        too_big = sizes.size and part and filled + image.size > sizes.size
        if too_many or too_big:
            yield part
            part, filled = [], 0
        part.append(image)
        filled += image.size
    yield part


def _identity(source: Path, images: Sequence[_Source], sizes: ShardSizes) -> dict[str, Any]:
    digest = hashlib.sha256()
    for image in images:
        digest.update(os.fsencode(f"{Path(image.path).relative_to(source)}\0{image.size}\0"))
    return {
        "kind": "shards", "images": len(images), "files": digest.hexdigest()[:16],
        "per_shard": sizes.images, "shard_bytes": sizes.size, "prefix": _prefix(source),
    }  # fmt: skip


def _prefix(source: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", source.resolve().name).strip("-") or "shard"


def _finished(output: Path, identity: Mapping[str, Any]) -> SplitRecord | None:
    """Returns the record of a writing that was finished before; None where there is none."""
    if (output / JOURNAL).exists() or not (output / INDEX_NAME).is_file():
        return None
    record = read_manifest(output).splits.get(output.resolve().name)
    if record is None or record.notes.get("made_from") != identity:
        return None
    place = LocalPlace(output)
    for shard in read_index(output / INDEX_NAME, str(output / INDEX_NAME)).shards:
        place.find(shard)
    return record


def _check_output(output: Path, journal: Journal) -> None:
    """Refuses to mix shards of two sets, and clears away what a crash left half written."""
    for path in output.glob(".*.tar.*"):
        path.unlink()
    strays = sorted(p.name for p in output.glob("*.tar") if p.name not in journal.parts)
    # A shard may be finished whose line in the journal is not.
    if len(strays) > (1 if journal.parts else 0):
        raise UserError(
            f"{output}: holds shards already ({strays[0]}): choose an empty folder, or delete them"
        )
    if not journal.parts:
        journal.add("plan")


def _finish_shard(
    path: Path, part: Sequence[_Source], first: int, journal: Journal
) -> tuple[SampleTable, IndexedFile]:
    """Writes a shard, or takes it over from an earlier start, and checks it against its plan."""
    known = journal.parts.get(path.name)
    if known is None:
        write_whole(path, lambda file: _write_samples(file, part, first))
    elif not path.is_file() or path.stat().st_size != known["bytes"]:
        raise UserError(
            f"{path}: gone or changed since it was written; delete {JOURNAL} to start anew"
        )
    table = scan_shard(path)
    found = list(zip(table.lengths.tolist(), table.labels.tolist(), strict=True))
    if found != [(image.size, image.label) for image in part]:
        raise UserError(f"{path}: does not hold what it should; an image changed meanwhile")
    if known is not None:
        return table, IndexedFile(path.name, known["bytes"], known["sha256"], len(part))
    shard = hashed_file(path, len(part))
    journal.add(path.name, bytes=shard.size, sha256=shard.sha256)
    return table, shard


def _write_samples(file: Any, part: Sequence[_Source], first: int) -> None:
    from webdataset.writer import TarWriter  # half a second to import

    writer: Any = TarWriter(file, mtime=0.0)
    try:
        for number, image in enumerate(part, start=first):
            path = Path(image.path)
            try:
                data = read_image_file(path)
            except OSError as error:
                raise UserError(f"{path}: cannot be read ({error.strerror})") from error
            ending = path.suffix[1:].lower()
            writer.write({"__key__": f"{number:08d}", ending: data, "cls": str(image.label)})
    finally:
        writer.close()
