"""The published data sets that are there, what some lack, and the caches. Engine-neutral."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from resnext_det.cache_folder import OFFLINE, cache_folder, is_set
from resnext_det.data.catalog import DatasetEntry, builtin_names, datasets_root, find_dataset
from resnext_det.doctor.findings import Finding, fine, note, problem
from resnext_det.doctor.places import nearest_folder, refusal_to_write
from resnext_det.errors import few

_CACHES = ("weights", "shards")
_ADVICE = "Get what is missing before a run on it; own sets are named with --train-data"


def look() -> Iterator[Finding]:
    """Tells of the folder of published sets and of the caches."""
    yield from look_at_sets(datasets_root())
    for kind in _CACHES:
        yield look_at_cache(kind, cache_folder(kind))
    if is_set(OFFLINE):
        yield note("network", f"{OFFLINE} is set: nothing is fetched", "Unset it to fetch weights")


def look_at_sets(root: Path) -> Iterator[Finding]:
    """Tells which of the catalogue's sets are whole below a folder, and what others lack.

    A set of which nothing is there but what it shares with a whole one is not told of.
    """
    check = "data sets"
    if not root.is_dir():
        said = "DETECTRON2_DATASETS says so" if "DETECTRON2_DATASETS" in os.environ else "default"
        advice = "Set DETECTRON2_DATASETS to the folder that holds coco/, for published sets"
        yield note(check, f"{root} ({said}) is not there", advice, root=str(root), complete=[])
        return
    entries = [find_dataset(name, {}, root) for name in builtin_names()]
    whole = [entry for entry in entries if not _missing(entry)]
    names = [entry.name for entry in whole]
    facts = {"root": str(root), "complete": names}
    if whole:
        yield fine(check, f"{root}: {len(names)} whole: {few(names, 5)}", **facts)
    else:
        advice = "Set DETECTRON2_DATASETS to the folder that holds coco/, for published sets"
        yield note(check, f"{root}: none of the published sets is whole", advice, **facts)
    shared = {part for entry in whole for part in _parts(entry)}
    yield from _incomplete([entry for entry in entries if _missing(entry)], shared, root)


def _incomplete(
    entries: Sequence[DatasetEntry], shared: set[Path], root: Path
) -> Iterator[Finding]:
    """Yields a line for each state of things: sets that have the same parts share one."""
    alike: dict[frozenset[Path], list[DatasetEntry]] = {}
    for entry in entries:
        there = frozenset(part for part in _parts(entry) if _is_there(part)) - shared
        if there:
            alike.setdefault(there, []).append(entry)
    for group in alike.values():
        first = min(group, key=lambda entry: (len(_missing(entry)), len(entry.name)))
        lacks = [str(part.relative_to(root)) for part in _missing(first)]
        others = f" (and {len(group) - 1} more sets)" if len(group) > 1 else ""
        text = f"{first.name}{others} lacks {few(lacks)}"
        names = [entry.name for entry in group]
        yield note("incomplete set", text, _ADVICE, sets=names, missing=lacks)


def look_at_cache(kind: str, folder: Path) -> Finding:
    """Tells whether files that are fetched can be kept."""
    check = f"{kind} cache"
    refusal = refusal_to_write(nearest_folder(folder))
    if refusal:
        advice = "Set RESNEXT_DET_CACHE to a folder that can be written"
        return problem(check, f"{folder}: {refusal}", advice, folder=str(folder))
    state = "can be written" if folder.is_dir() else "is not there yet, and can be made"
    return fine(check, f"{folder} {state}", folder=str(folder))


def _parts(entry: DatasetEntry) -> list[Path]:
    panoptic = entry.panoptic
    more = (panoptic.json_file, panoptic.panoptic_root, panoptic.stuff_root) if panoptic else ()
    return [part for part in (entry.json_file, entry.image_root, *more) if part is not None]


def _missing(entry: DatasetEntry) -> list[Path]:
    return [part for part in _parts(entry) if not _is_there(part)]


def _is_there(part: Path) -> bool:
    """Tells whether a file or folder is there, and not empty."""
    try:
        if part.is_dir():
            with os.scandir(part) as found:
                return next(found, None) is not None
        return part.stat().st_size > 0
    except OSError:
        return False
