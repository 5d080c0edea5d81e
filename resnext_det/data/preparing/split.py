"""A split under construction: what is finished of it, and how it takes its place. Engine-neutral.

`TARGET/SPLIT` is there only when it is whole: until then it is
`TARGET/.SPLIT.partial`, with `TARGET/.SPLIT.journal.jsonl` beside it, which says what is finished.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from resnext_det.data.manifest import (
    FILE_NAME,
    SplitRecord,
    read_manifest,
    write_manifest,
)
from resnext_det.data.preparing.journal import Journal
from resnext_det.errors import UserError

_SPLITS = ("train", "val", "test")
_SPARE = 1 << 28  # bytes that are left free on the disk


@dataclass(frozen=True)
class Outcome:
    """What became of a split.

    Attributes:
        record: what it has.
        fresh: whether it was made now; otherwise it was there.
    """

    record: SplitRecord
    fresh: bool


class SplitWork:
    """One split that is being prepared.

    Args:
        target: the folder of the set.
        split: train, val or test.
        kind: the KIND of the command.
        sources: path -> size in bytes of what it comes from.

    Raises:
        UserError: it was begun from something else.
    """

    def __init__(self, target: Path, split: str, kind: str, sources: Mapping[Path, int]) -> None:
        self.target = target
        self.split = split
        self.kind = kind
        self.partial = target / f".{split}.partial"
        names = {path.name: size for path, size in sources.items()}
        identity = {"kind": kind, "split": split, "sources": names}
        self.journal = Journal(target / f".{split}.journal.jsonl", identity)

    def finished_parts(self) -> dict[str, dict[str, Any]]:
        """Returns the class folders that are whole, as the journal and the disk agree on."""
        whole = {}
        for name, record in self.journal.parts.items():
            recorded = (record.get("images"), record.get("bytes"))
            if folder_size(self.partial / name) == recorded:
                whole[name] = record
        return whole

    @contextmanager
    def class_folder(self, name: str) -> Iterator[Path]:
        """Gives a new folder that becomes the class's own when the block ends well."""
        temporary, final = self.partial / f".{name}", self.partial / name
        for folder in (temporary, final):
            remove(folder)
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(final)

    def finish(self, record: SplitRecord) -> None:
        """Writes the manifest and puts the split in its place."""
        manifest = read_manifest(self.target).with_split(self.split, record)
        write_manifest(self.target, manifest)
        self.partial.rename(self.target / self.split)
        self.journal.remove()


def already_prepared(
    target: Path, split: str, kind: str, sources: Mapping[Path, int]
) -> SplitRecord | None:
    """Looks whether a split is finished.

    Args:
        target: the folder of the set.
        split: train, val or test.
        kind: the KIND of the command.
        sources: path -> size in bytes of what it is to come from.

    Returns:
        What the manifest says of it; None where it is to be made.

    Raises:
        UserError: the target holds something else, or the split was made from something else.
    """
    _check_target(target, sources)
    folder = target / split
    record = read_manifest(target).splits.get(split)
    if not folder.exists():
        return None
    if record is None or record.kind != kind:
        raise UserError(
            f"{folder}: is there already and was not made by `resnext-det dataset prepare {kind}`: "
            "give another --output, or move it away"
        )
    made_from = {source.name: source.size for source in record.sources}
    if made_from != {path.name: size for path, size in sources.items()}:
        raise UserError(
            f"{folder}: was prepared from something else ({_listed(made_from)}): give another "
            "--output, or move it away"
        )
    missing = sorted(name for name in record.classes if not (folder / name).is_dir())
    if missing:
        raise UserError(
            f"{folder}: {len(missing)} class folder(s) of {target / FILE_NAME} are gone, such as "
            f"'{missing[0]}': move it away and prepare it again"
        )
    return record


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Keeps a second preparation out of a folder.

    Raises:
        UserError: one is at work there, or the folder cannot be made.
    """
    path = target / ".prepare.lock"
    try:
        target.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=0):
            yield
            path.unlink(missing_ok=True)
    except Timeout as error:
        raise UserError(f"{target}: another preparation is at work there") from error
    except OSError as error:
        place = error.filename or target
        raise UserError(
            f"{place}: {error.strerror}: mend that, and the same command goes on"
        ) from error


def check_space(target: Path, needed: int) -> None:
    """Checks that the disk has room, before anything is written.

    Args:
        target: where it goes; its parents may not be there yet.
        needed: bytes.

    Raises:
        UserError: it has not.
    """
    place = next(parent for parent in (target, *target.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if needed + _SPARE > free:
        raise UserError(
            f"{target}: {needed / 1e9:,.1f} GB are needed, but its disk has {free / 1e9:,.1f} GB "
            "free: free space, or give another --output"
        )


def folder_size(folder: Path) -> tuple[int, int] | None:
    """Returns how many files a folder has and their bytes; None where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            sizes = [entry.stat().st_size for entry in entries]
    except OSError:
        return None
    return len(sizes), sum(sizes)


def remove(folder: Path) -> None:
    """Deletes a folder with all that is in it; of a link to one, the link alone."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def sizes_of(paths: Sequence[Path]) -> dict[Path, int]:
    """Returns the size of each archive in bytes."""
    return {path: path.stat().st_size for path in paths}


def _check_target(target: Path, sources: Mapping[Path, int]) -> None:
    if target.exists() and not target.is_dir():
        raise UserError(f"{target}: is a file; --output is a folder")
    if not target.exists():
        return
    ours = {source.resolve() for source in sources}
    for item in sorted(target.iterdir()):
        known = item.name in (*_SPLITS, FILE_NAME) or item.name.startswith(".")
        if not known and item.resolve() not in ours and item.suffix not in (".tar", ".gz"):
            raise UserError(
                f"{target}: holds other things, such as '{item.name}': give an --output of its own"
            )


def _listed(sources: Mapping[str, int]) -> str:
    return ", ".join(f"{name}, {size:,} bytes" for name, size in sources.items())
