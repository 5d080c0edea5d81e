"""Files that torch.save wrote, in each form it had. Engine-neutral.

Nothing of them is executed: their pickles run on the inert machine. Tensors that share their
numbers in the file share them here. Storages that the state dict does not use, such as an
optimizer's, are not read.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from resnext_det.errors import UserError
from resnext_det.inert_pickle.tensors import StorageRef, TensorRef
from resnext_det.weights.content import Container, FileContent
from resnext_det.weights.readers.state_dicts import content_of
from resnext_det.weights.readers.torch_legacy import LegacyFile
from resnext_det.weights.readers.torch_tensors import TensorReader
from resnext_det.weights.readers.torch_zip import TorchArchive


def read_torch_zip(path: Path, source: str) -> FileContent:
    """Reads a .pth file of the zip form, which torch.save writes since PyTorch 1.6.

    Args:
        path: the file.
        source: the path or address that the user gave, for messages.

    Raises:
        UserError: it is torn, or holds more than data; the message names it.
    """
    with path.open("rb") as file:
        archive = TorchArchive(file, source)
        content, ignored = archive.load_pickle()
        return _content(content, "torch", source, ignored, archive.read, path)


def read_torch_legacy(path: Path, source: str) -> FileContent:
    """Reads a .pth file of the older form.

    Args:
        path: the file.
        source: the path or address that the user gave, for messages.

    Raises:
        UserError: it is torn, or holds more than data; the message names it.
    """
    with path.open("rb") as file:
        legacy = LegacyFile(file, source)
        return _content(legacy.content, "torch-legacy", source, legacy.ignored, legacy.read, path)


def _content(
    content: Any,
    container: Container,
    source: str,
    ignored: tuple[str, ...],
    read: Callable[[StorageRef, int], Tensor],
    path: Path,
) -> FileContent:
    if not isinstance(content, Mapping):
        kind = "tensor" if isinstance(content, TensorRef) else type(content).__name__
        raise UserError(f"{source}: holds a {kind}, no state dict")
    reader = TensorReader(read, path.stat().st_size, source)
    return content_of(content, container, source, ignored, reader)
