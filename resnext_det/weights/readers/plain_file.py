"""Whether a path leads to a file that may hold weights, told without torch. Engine-neutral."""

import stat
from pathlib import Path

from resnext_det.errors import UserError


def check_plain_file(path: Path, source: str) -> None:
    """Refuses what is no file of bytes: opening a pipe waits for ever.

    Args:
        path: the file.
        source: the path or address that the user gave, for messages.

    Raises:
        UserError: it is not there, a folder, a pipe or a device, or empty, or cannot be looked at.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{source}: no such file") from None
    except ValueError as error:  # a zero in the name
        raise UserError(f"{source}: no such file ({error})") from error
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror or error})") from error
    if stat.S_ISDIR(status.st_mode):
        usual = path / "model_final.pth"
        wanted = usual if usual.is_file() else "one of the files in it"
        raise UserError(f"{source or repr(source)}: a folder; give {wanted}")
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{source}: no plain file but a pipe, socket or device")
    if not status.st_size:
        raise UserError(f"{source}: an empty file; fetch it again")
