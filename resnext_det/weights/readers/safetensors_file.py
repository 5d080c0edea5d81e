"""Safetensors files. Engine-neutral."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from resnext_det.errors import UserError
from resnext_det.weights.content import FileContent


def read_safetensors(path: Path, source: str) -> FileContent:
    """Reads a safetensors file; its header's entries are the extras, strings all of them.

    Raises:
        UserError: it is torn, or none.
    """
    try:
        with safe_open(path, framework="pt") as file:
            extras = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UserError(f"{source}: torn, or no safetensors file ({reason})") from error
    return FileContent("safetensors", tensors, extras)
