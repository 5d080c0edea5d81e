"""Files that torch.save wrote. Engine-neutral."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch

from resnext_det.errors import UserError
from resnext_det.weights.content import FileContent
from resnext_det.weights.readers.state_dicts import content_of


def read_torch_file(path: Path, source: str) -> FileContent:
    """Reads a .pth file.

    Raises:
        UserError: it is torn, or holds more than data.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{source}: torn, or it holds more than tensors, which could run code; "
            "save its state_dict() alone"
        ) from error
    except Exception as error:  # garbage makes the reader fail in any way, IndexError too
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UserError(f"{source}: torn, or no weights file ({reason})") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{source}: holds a {type(content).__name__}, no state dict")
    return content_of(content, "torch", source)
