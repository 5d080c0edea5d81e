"""A weights file of any form, told by its first bytes, not by its name. Engine-neutral."""

from collections.abc import Callable
from pathlib import Path

from resnext_det.errors import UserError
from resnext_det.weights.content import FileContent
from resnext_det.weights.readers.pickle_file import looks_like_pickle, read_pickle
from resnext_det.weights.readers.plain_file import check_plain_file
from resnext_det.weights.readers.safetensors_file import looks_like_safetensors, read_safetensors
from resnext_det.weights.readers.torch7_file import looks_like_torch7, read_torch7
from resnext_det.weights.readers.torch_file import read_torch_legacy, read_torch_zip
from resnext_det.weights.readers.torch_legacy import looks_like_legacy

_FIRST_BYTES = 512
_KNOWN = "safetensors, torch.save's, a pickle of arrays, Torch7's"
# How files begin that people give by mistake -> what to do about them.
_MISTAKEN = {
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself; run `git lfs pull`",
    b"<": "a web page, not weights: the download brought an error or a login page; fetch it again",
    b"\x1f\x8b": "compressed by gzip; unpack it first",
    b"BZh": "compressed by bzip2; unpack it first",
    b"\xfd7zXZ\x00": "compressed by xz; unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it first",
    b"\x89HDF": "HDF5, of Keras or h5py, which is not read here",
    b"\x93NUMPY": "one NumPy array, no state dict",
}


def read_weights_file(path: Path, source: str) -> FileContent:
    """Reads a file onto the CPU.

    Args:
        path: the file.
        source: the path or address that the user gave, for messages.

    Raises:
        UserError: it is not there, torn, of no known form, or holds more than data; one line that
            names what is refused.
    """
    try:
        check_plain_file(path, source)
        with path.open("rb") as file:
            first_bytes = file.read(_FIRST_BYTES)
        return _reader(first_bytes, source)(path, source)
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror or error})") from error


def _reader(first_bytes: bytes, source: str) -> Callable[[Path, str], FileContent]:
    if first_bytes[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return read_torch_zip
    if looks_like_legacy(first_bytes):
        return read_torch_legacy
    if first_bytes[257:262] == b"ustar":
        raise UserError(
            f"{source}: a tar archive; if an early PyTorch wrote it, load it there, and torch.save "
            "its state_dict() again with a newer one"
        )
    if looks_like_torch7(first_bytes):  # before the next: a table's size may look like its brace
        return read_torch7
    if looks_like_safetensors(first_bytes):
        return read_safetensors
    start = first_bytes.lstrip()
    for begin, advice in _MISTAKEN.items():
        if start.startswith(begin):
            raise UserError(f"{source}: {advice}")
    if looks_like_pickle(first_bytes):
        return read_pickle
    raise UserError(
        f"{source}: torn, or no weights file: it begins with {first_bytes[:8]!r}, as no known form "
        f"does ({_KNOWN})"
    )
