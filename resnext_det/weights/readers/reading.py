"""A weights file of any form, told by its first bytes. Engine-neutral."""

from pathlib import Path

from resnext_det.errors import UserError
from resnext_det.weights.content import FileContent
from resnext_det.weights.readers.safetensors_file import read_safetensors
from resnext_det.weights.readers.torch_file import read_torch_file


def read_weights_file(path: Path, source: str) -> FileContent:
    """Reads a file onto the CPU.

    Args:
        path: the file.
        source: the path or address that the user gave, for messages.

    Raises:
        UserError: it is not there, torn, of no known form, or holds more than data; one line that
            names what is refused.
    """
    if not path.is_file():
        raise UserError(f"{source}: no such file")
    if path.suffix == ".safetensors":
        return read_safetensors(path, source)
    return read_torch_file(path, source)
