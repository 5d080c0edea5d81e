r"""File names that an annotation file gives, which may be a stranger's. Engine-neutral.

A name stays below its folder where it is relative and has no `..` in it, read as POSIX and as
Windows read it: `C:\a.png` and `..\a.png` are plain names to Linux, but not to the machine that
the set is copied to. Symbolic links below the folder are its owner's business, and are followed.
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from resnext_det.errors import UserError

TRUST_KEY = "DATASETS.TRUST_FILE_NAMES"
TRUST_ADVICE = f"set {TRUST_KEY} True where you trust the file"

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,200}")
_LONGEST_PART, _LONGEST = 255, 4000  # bytes that file systems take


def name_flaw(name: str) -> str | None:
    """Says why a name can be that of no file; None where it can."""
    if _PLAIN.fullmatch(name):
        return None
    if PurePosixPath(name).name in ("", ".."):
        return "names no file"
    try:
        parts = [os.fsencode(part) for part in name.split("/")]
    except UnicodeEncodeError:  # half of a surrogate pair
        return "names no file"
    if any(b"\0" in part for part in parts):
        return "has a NUL in it"
    if max(map(len, parts)) > _LONGEST_PART or sum(map(len, parts)) > _LONGEST:
        return f"has {sum(map(len, parts))} bytes, more than a file system takes"
    return None


def leaves_folder(name: str) -> bool:
    """Returns whether a name leads, or on some system may lead, out of the folder it is below."""
    if _PLAIN.fullmatch(name):
        return False
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    away = posix.is_absolute() or bool(windows.drive or windows.root)
    return away or ".." in posix.parts or ".." in windows.parts


def shown_name(name: str) -> str:
    """Returns a name as messages write it: quoted, its middle left out where it is long."""
    return repr(name if len(name) <= 80 else f"{name[:40]}…{name[-30:]}")


def check_names(path: Path, names: Iterable[str], *, trusted: bool) -> None:
    """Checks names that a file other than COCO's annotations gives.

    Args:
        path: the file, for messages.
        names: what it calls other files, below a folder.
        trusted: the key `DATASETS.TRUST_FILE_NAMES`.

    Raises:
        UserError: one names no file, or leaves the folder without being trusted.
    """
    for name in names:
        if flaw := name_flaw(name):
            raise UserError(f"{path}: file_name {shown_name(name)} {flaw}")
        if not trusted and leaves_folder(name):
            raise UserError(
                f"{path}: file_name {shown_name(name)} leaves its folder; {TRUST_ADVICE}"
            )


def leaving(names: Sequence[str]) -> list[str]:
    """Returns those of the names that leave their folder."""
    return [name for name in names if leaves_folder(name)]
