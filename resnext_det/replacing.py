"""What a command may write over: what it wrote before. Engine-neutral; lowest layer."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from resnext_det.errors import UserError

_HEAD = 2000  # bytes by which a file is known


def check_replaceable(
    path: Path,
    *,
    is_ours: Callable[[bytes], bool],
    otherwise: str,
    used: Iterable[Path] = (),
    option: str = "",
) -> None:
    """Refuses to write over a file that the command reads, or that is none of its own.

    Args:
        path: the file to be written.
        is_ours: whether a file that begins with these bytes may be replaced.
        otherwise: what the message says of one that may not, as in "is no JSON file: …".
        used: other files that the command reads or writes; they need not be there.
        option: that names the file, for messages.

    Raises:
        UserError: it may not be written over, or cannot be read.
    """
    shown = f"{option} {path}".strip()
    if any(is_same_file(path, other) for other in used):
        raise UserError(
            f"{shown}: is one of the files that this command reads or writes: name another"
        )
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            ours = is_ours(file.read(_HEAD))
    except OSError as error:
        raise UserError(f"{shown}: {error.strerror}") from error
    if not ours:
        raise UserError(f"{shown}: exists and {otherwise}")


def check_json_replaceable(path: Path, used: Iterable[Path] = ()) -> None:
    """Does so for the file of a `--json` option.

    Args:
        path: of the option.
        used: JSON files that the command reads, and whatever else it writes.

    Raises:
        UserError: it is one of them, or is there and no JSON, as weights, configs and images are.
    """
    check_replaceable(
        path,
        is_ours=_may_be_json,
        otherwise="is no JSON as this command writes it: name another",
        used=used,
        option="--json",
    )


def _may_be_json(head: bytes) -> bool:
    """Takes an empty file for one that was made to be written."""
    return head.lstrip()[:1] in (b"", b"{", b"[")


def is_same_file(path: Path, other: Path) -> bool:
    """Tells whether two names are one file's, by whatever links."""
    if os.path.abspath(path) == os.path.abspath(other):
        return True
    return path.exists() and other.exists() and path.samefile(other)
