"""Files written whole or not at all. Engine-neutral; in the lowest layer."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from resnext_det.errors import UserError


def write_safe(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a .pth so that a crash at any moment leaves the old file or the new one."""
    write_whole(path, lambda file: torch.save(dict(content), file))


def write_text_safe(path: Path, text: str) -> None:
    """Writes a text file in the same way."""
    write_whole(path, lambda file: file.write(text.encode()))


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes any file in the same way; parents are made.

    Args:
        path: the file.
        write: is given the open file, which takes its place when this returns.

    Raises:
        UserError: the disk takes no more, or refuses the file.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide the file from colleagues
        os.replace(temporary, path)
    except BaseException as error:  # an interrupt too must leave no half file behind
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if reason := _why_not(error):
            raise UserError(
                f"{path}: cannot be written ({reason}): free space or mend the folder, then give "
                "the same command again; a training run goes on with --resume"
            ) from error
        raise


def _why_not(error: BaseException) -> str | None:
    """What the disk said; torch hides it behind an error of its own."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    return "the disk took no more" if "inline_container" in str(error) else None
