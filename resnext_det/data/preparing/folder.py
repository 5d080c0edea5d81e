"""A user's own folder of class folders, counted and checked, never changed. Engine-neutral."""

import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from resnext_det.data.checking.readers import decode_whole
from resnext_det.data.image_files import read_header
from resnext_det.data.image_folder import class_folders, images_in
from resnext_det.data.manifest import (
    CHECKED_FOLDER,
    SourceFile,
    SplitRecord,
    check_against_manifest,
    read_manifest,
    write_manifest,
)
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.data.plain_files import read_image_file
from resnext_det.data.preparing.journal import Journal
from resnext_det.data.preparing.progress import bar
from resnext_det.errors import UserError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class FolderReport:
    """What a check found.

    Attributes:
        splits: what each split has; the broken images are named in it.
        warnings: one line for each thing that may be a mistake.
        is_kept: whether a manifest was left in the folder.
    """

    splits: dict[str, SplitRecord]
    warnings: tuple[str, ...] = ()
    is_kept: bool = True


def check_folder(root: Path, *, decode: bool = False, command: str = "") -> FolderReport:
    """Counts the images of every split, opens each one, and leaves a manifest beside them.

    An interrupted check goes on with the first class that it had not finished. In a folder that
    cannot be written to nothing is left, and every check starts anew.

    Args:
        root: the folder that holds train/, val/ or test/.
        decode: decode whole images; otherwise their headers are read.
        command: the command line, for the manifest.

    Raises:
        UserError: there is no split, no class or no image in a class; a split was prepared from
            archives and has other counts than then.
    """
    splits = [name for name in SPLITS if (root / name).is_dir()]
    if not splits:
        raise UserError(f"{root}: no train/, val/ or test/ folder of class folders in it")
    known = read_manifest(root)
    manifest, found = known, {}
    is_kept = os.access(root, os.W_OK)
    journals = {name: _journal(root / name, decode, is_kept) for name in splits}
    for name in splits:
        record = _check_split(root / name, journals[name], decode=decode, command=command)
        found[name] = record
        prepared = known.splits.get(name)
        if prepared is not None and prepared.kind != CHECKED_FOLDER:
            check_against_manifest(root / name, record.classes)
            continue  # what was prepared keeps its sources
        manifest = manifest.with_split(name, record)
    lines = _warnings(root, found)
    if is_kept:
        write_manifest(root, manifest)
    else:
        lines.append(f"{root}: cannot be written to, so no manifest.json is left in it")
    for journal in journals.values():
        journal.remove()
    return FolderReport(found, tuple(lines), is_kept)


def _check_split(root: Path, journal: Journal, *, decode: bool, command: str) -> SplitRecord:
    folders = class_folders(root)
    check: Callable[[str], object] = _decode if decode else read_header
    threads = min(16, (os.cpu_count() or 1) + 4)  # headers wait for the disk, decoding does not
    with (
        bar(f"checking {root.name}", len(folders)) as advance,
        warnings.catch_warnings(),  # the decoders' own, entered by each thread, undo each other
        ThreadPoolExecutor(threads) as pool,
    ):
        warnings.simplefilter("ignore")
        for folder in folders:
            if folder.name not in journal.parts:
                paths = images_in(folder)
                reasons = [r for r in pool.map(lambda path: _reason(check, path), paths) if r]
                journal.add(folder.name, images=len(paths), broken=reasons)
            advance(1)
    parts = [journal.parts[folder.name] for folder in folders]
    return SplitRecord(
        CHECKED_FOLDER,
        {folder.name: part["images"] for folder, part in zip(folders, parts, strict=True)},
        sources=(SourceFile(root.name, 0),),
        command=command,
        broken=tuple(reason for part in parts for reason in part["broken"]),
    )


def _reason(check: Callable[[str], object], path: str) -> str | None:
    try:
        check(path)
    except UserError as error:
        return str(error)
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror})"
    except UnreadableImage as error:
        return f"{path}: {error}"
    return None


def _decode(path: str) -> None:
    decode_whole(read_image_file(path))


def _journal(root: Path, decode: bool, is_kept: bool) -> Journal:
    identity = {"kind": CHECKED_FOLDER, "check": "decoded" if decode else "headers"}
    path = root.parent / f".{root.name}.journal.jsonl" if is_kept else None
    return Journal(path, identity)


def _warnings(root: Path, splits: dict[str, SplitRecord]) -> list[str]:
    first, *others = splits
    lines = []
    for other in others:
        strays = sorted(set(splits[first].classes) ^ set(splits[other].classes))
        if strays:
            there, lacks = (first, other) if strays[0] in splits[first].classes else (other, first)
            lines.append(
                f"{root}: {there}/ and {lacks}/ do not have the same classes: '{strays[0]}' is not "
                f"in {lacks}/; {len(strays)} such class(es)"
            )
    return lines
