"""CIFAR-10 and CIFAR-100 from their original archives, as PNG files. Engine-neutral."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from resnext_det.data.manifest import SourceFile, SplitRecord
from resnext_det.data.preparing.archives import (
    LARGEST_MEMBER,
    ForwardReader,
    GzipSource,
    open_archive,
)
from resnext_det.data.preparing.cifar_files import (
    LAYOUTS,
    Batch,
    Layout,
    check_labels,
    find_layout,
    read_batch,
    read_names,
)
from resnext_det.data.preparing.progress import bar
from resnext_det.data.preparing.published import (
    CIFAR10_BINARY,
    CIFAR10_PYTHON,
    CIFAR100_BINARY,
    CIFAR100_PYTHON,
    CIFAR_FILES,
    Expected,
    Published,
    check_counts,
    check_digest,
)
from resnext_det.data.preparing.split import (
    Outcome,
    SplitWork,
    already_prepared,
    check_space,
    locked,
)
from resnext_det.data.preparing.tars import members, read_member
from resnext_det.errors import UserError

SPLITS = ("train", "test")
_WANTED = frozenset(
    file for layouts in LAYOUTS.values() for layout in layouts for file in layout.files
)
_PNG_BYTES = 4096  # an image takes a block of the disk, whatever it is packed to


@dataclass(frozen=True)
class Reference:
    """What an archive is held against.

    Attributes:
        archives: the versions as published; empty to take any.
        counts: split -> its images and classes; empty to take any.
    """

    archives: tuple[Published, ...]
    counts: Mapping[str, Expected]

    def without_digests(self) -> "Reference":
        """Returns the counts alone."""
        return replace(self, archives=())


# 5,000 or 500 images a class for training, 1,000 or 100 for the test: the sets' own page.
PUBLISHED = {
    "cifar10": Reference(
        (CIFAR10_PYTHON, CIFAR10_BINARY),
        {"train": Expected(50_000, 10), "test": Expected(10_000, 10)},
    ),
    "cifar100": Reference(
        (CIFAR100_PYTHON, CIFAR100_BINARY),
        {"train": Expected(50_000, 100), "test": Expected(10_000, 100)},
    ),
}


def prepare_cifar(
    kind: str,
    source: Path,
    target: Path,
    *,
    reference: Reference | None = None,
    command: str = "",
) -> dict[str, Outcome]:
    """Writes each image as `TARGET/SPLIT/CLASS/NUMBER.png`.

    The number is the image's place in its split, from 0, as torchvision's CIFAR10 counts. An
    interrupted run goes on with the first file of images that was not finished.

    Args:
        kind: cifar10 or cifar100.
        source: the archive of the Python or of the binary version, or the folder it unpacks to.
        target: the folder of the set.
        reference: what is expected; the published archives and counts by default.
        command: the command line, for the manifest.

    Returns:
        train and test -> what became of it.

    Raises:
        UserError: it is another archive, damaged or hostile; the disk is full; the target holds
            something else; images or classes are missing.
    """
    reference = reference or PUBLISHED[kind]
    sources = _sources(source)
    with locked(target):
        there = {split: already_prepared(target, split, kind, sources) for split in SPLITS}
        outcomes = {split: Outcome(r, fresh=False) for split, r in there.items() if r is not None}
        if len(outcomes) < len(SPLITS):
            files, records = _read_files(kind, source, reference)
            layout = find_layout(kind, set(files), source)
            for split in SPLITS:
                if split not in outcomes:
                    work = SplitWork(target, split, kind, sources)
                    counts = _write_split(work, files, layout, source)
                    check_counts(f"{source}: {split}", counts, reference.counts.get(split))
                    record = SplitRecord(kind, counts, records, command)
                    work.finish(record)
                    outcomes[split] = Outcome(record, fresh=True)
    return {split: outcomes[split] for split in SPLITS}


def _sources(source: Path) -> dict[Path, int]:
    """Returns the archive, or the files of the folder, with their bytes."""
    if not source.exists():
        raise UserError(f"{source}: no such archive or folder")
    paths = [source]
    if source.is_dir():
        paths = [source / name for name in sorted(_WANTED) if (source / name).is_file()]
    return {path: path.stat().st_size for path in paths}


def _read_files(
    kind: str, source: Path, reference: Reference
) -> tuple[dict[str, bytes], tuple[SourceFile, ...]]:
    """Returns the files of the set by name, and what is written down of where they came from."""
    if source.is_dir():
        return _read_folder(kind, source, reference)
    found: dict[str, bytes] = {}
    with (
        bar("reading", source.stat().st_size, in_bytes=True) as advance,
        open_archive(source, digest=True, advance=advance) as opened,
    ):
        reader = ForwardReader(GzipSource(opened.file, str(source)), str(source))
        for member in members(reader):
            if member.name in _WANTED:
                found[member.name] = read_member(reader, member)
    layout = find_layout(kind, set(found), source)
    if reference.archives:
        check_digest(source, opened.source, reference.archives[LAYOUTS[kind].index(layout)])
    return found, (opened.source,)


def _read_folder(
    kind: str, folder: Path, reference: Reference
) -> tuple[dict[str, bytes], tuple[SourceFile, ...]]:
    found: dict[str, bytes] = {}
    records = []
    for path, size in _sources(folder).items():
        if size > LARGEST_MEMBER:
            raise UserError(f"{path}: {size:,} bytes: no file of {kind}")
        data = found[path.name] = path.read_bytes()
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        records.append(SourceFile(path.name, size, md5, hashlib.sha256(data).hexdigest()))
    find_layout(kind, set(found), folder)
    for record in records:
        if reference.archives and record.name in CIFAR_FILES:
            published = Published(record.name, CIFAR_FILES[record.name])
            check_digest(folder / record.name, record, published)
    return found, tuple(records)


def _write_split(
    work: SplitWork, files: Mapping[str, bytes], layout: Layout, source: Path
) -> dict[str, int]:
    names = read_names(files[layout.names], f"{source}: {layout.names}", layout)
    parts = layout.train if work.split == "train" else layout.test
    batches = [read_batch(files[part], f"{source}: {part}", layout) for part in parts]
    total = sum(len(batch.labels) for batch in batches)
    check_space(work.target, total * _PNG_BYTES)
    for name in names:
        (work.partial / name).mkdir(parents=True, exist_ok=True)
    first = 0
    with bar(work.split, total) as advance:
        for part, batch in zip(parts, batches, strict=True):
            check_labels(batch, len(names), f"{source}: {part}")
            if part not in work.journal.parts:
                _write_batch(work.partial, batch, names, first)
                work.journal.add(part, images=len(batch.labels))
            first += len(batch.labels)
            advance(len(batch.labels))
    labels = np.concatenate([batch.labels for batch in batches])
    counts = np.bincount(labels, minlength=len(names)).tolist()
    return dict(sorted(zip(names, counts, strict=True)))


def _write_batch(folder: Path, batch: Batch, names: tuple[str, ...], first: int) -> None:
    """Writes PNG files; those that an interrupted run left are written over."""

    def write(place: int) -> None:
        path = folder / names[batch.labels[place]] / f"{first + place:05d}.png"
        Image.fromarray(np.ascontiguousarray(batch.images[place])).save(path)

    with ThreadPoolExecutor() as pool:  # packing and writing let other threads run
        for _ in pool.map(write, range(len(batch.labels))):
            pass
