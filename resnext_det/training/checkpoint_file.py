"""The file of a checkpoint: written whole, with a digest, and read back as it was. Engine-neutral.

The entry `digest` is the SHA-256 sum of all other entries (`content_digests.digest_of_content`),
and a seal covers the bytes of the file that are no tensor's numbers (`seals`). Both are plain data
to torch.load(weights_only=True) and to Detectron2.
"""

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch

from resnext_det.content_digests import digest_of_content
from resnext_det.errors import UserError
from resnext_det.training.seals import BrokenSealError, check_seal, seal
from resnext_det.whole_files import write_whole

DIGEST = "digest"
_ALGORITHM = "sha256:"

logger = logging.getLogger(__name__)


class DamagedCheckpointError(UserError):
    """A checkpoint that is missing or not what was written.

    Attributes:
        reason: what is wrong with it, without its name.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}: take another one, or start the run anew")
        self.reason = reason


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a checkpoint with its digest.

    Args:
        path: the file.
        content: tensors, numbers and strings, in dicts and lists.

    Raises:
        UserError: the disk takes no more, or refuses the file.
    """
    whole = {**content, DIGEST: _ALGORITHM + digest_of_content(content)}

    def write(file: IO[bytes]) -> None:
        torch.save(whole, file)
        seal(file)

    write_whole(path, write)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU, refusing anything but data, and what is not as written.

    A file of before there were digests is read unchecked, which the log says.

    Returns:
        Its entries but the digest.

    Raises:
        DamagedCheckpointError: the file is missing, torn, changed, or no checkpoint.
        UserError: it cannot be read.
    """
    return _load(Path(path))


def is_whole(path: Path) -> bool:
    """Tells whether a checkpoint reads back as it was written, without taking it into memory."""
    try:
        _load(path, mmap=True)
    except DamagedCheckpointError:
        return False
    return True


def _load(path: Path, *, mmap: bool = False) -> dict[str, Any]:
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited on
        raise DamagedCheckpointError(path, "is not a plain file")
    try:
        with path.open("rb") as file:
            sealed = check_seal(file)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except FileNotFoundError:
        raise DamagedCheckpointError(path, "is not there") from None
    except PermissionError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except BrokenSealError as error:
        raise DamagedCheckpointError(path, f"is damaged ({error})") from error
    except Exception as error:  # garbage makes torch's reader fail in any way, IndexError too
        raise DamagedCheckpointError(path, f"is torn or no checkpoint ({_why(error)})") from error
    if not isinstance(content, dict):
        raise DamagedCheckpointError(path, f"holds a {type(content).__name__}, not a checkpoint")
    _check(path, content, sealed)
    return content


def _check(path: Path, content: dict[str, Any], sealed: bool) -> None:
    """Compares a file's content with its digest, which is taken out."""
    written = content.pop(DIGEST, None)
    if written is None:
        if sealed:
            raise DamagedCheckpointError(path, "is damaged (it has lost its digest)")
        logger.warning("%s has no digest (an older version wrote it): it is used unchecked", path)
        return
    if written != _digest(content):
        raise DamagedCheckpointError(path, "is damaged (its content is not that of its digest)")
    if not sealed:
        logger.warning("%s was saved again by another program; its content is whole", path)


def _digest(content: Mapping[str, Any]) -> str:
    try:
        return _ALGORITHM + digest_of_content(content)
    except TypeError as error:  # of an entry that no run writes
        return str(error)


def _why(error: BaseException) -> str:
    if isinstance(error, pickle.UnpicklingError):  # torch's own words end in advice to run code
        return "it holds other things than tensors, numbers and strings"
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
