"""The kinds of files that are exported, and where they may be written. Engine-neutral."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from resnext_det.errors import UserError
from resnext_det.replacing import check_replaceable

Format = Literal["onnx", "torch", "openvino"]
SUFFIXES: dict[str, Format] = {".onnx": "onnx", ".pt2": "torch", ".xml": "openvino"}
NAMES: dict[Format, str] = {
    "onnx": "ONNX",
    "torch": "a torch.export package",
    "openvino": "OpenVINO IR",
}
# What the files that this command writes begin with, as far as it tells them from others: ONNX's
# version and producer, a zip archive, and IR's first element.
_HEADS: dict[Format, re.Pattern[bytes]] = {
    "onnx": re.compile(rb"\x08.\x12.(resnext_det|pytorch|onnx)", re.DOTALL),
    "torch": re.compile(rb"PK\x03\x04"),
    "openvino": re.compile(rb"\s*<\?xml.*<net ", re.DOTALL),
}


@dataclass(frozen=True)
class FixedShape:
    """The one shape that an exported detector takes.

    Attributes:
        height: rows of each image.
        width: columns of each image.
        number: images in a batch.
    """

    height: int
    width: int
    number: int = 1


def parse_fixed(text: str) -> FixedShape:
    """Reads `HxW` or `HxWxN`.

    Raises:
        UserError: it is something else, or one of them is not above 0.
    """
    match = re.fullmatch(r"(\d+)x(\d+)(?:x(\d+))?", text)
    numbers = [int(number) for number in match.groups(default="1")] if match else [0]
    if min(numbers) < 1:
        raise UserError(f"--fixed {text!r}: give HxW or HxWxN, as in 800x1216 or 480x640x8")
    return FixedShape(*numbers)


def check_target(path: Path, used: Iterable[Path] = ()) -> Format:
    """Checks that an exported file can be written, before anything is computed.

    Args:
        path: of the option -o.
        used: files that the command reads.

    Returns:
        What its suffix says it will be.

    Raises:
        UserError: the suffix says nothing, the folder is not there or not ours, or a file is
            there that is no export, or that the command reads.
    """
    kind = SUFFIXES.get(path.suffix)
    if kind is None:
        known = ", ".join(f"{suffix} ({NAMES[kind]})" for suffix, kind in SUFFIXES.items())
        raise UserError(f"-o {path}: the suffix says what to write: {known}")
    if path.is_dir():
        raise UserError(f"-o {path}: is a folder")
    if not path.parent.is_dir():
        raise UserError(f"-o {path}: no such folder: {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"-o {path}: Permission denied")
    check_replaceable(
        path,
        is_ours=lambda head: _HEADS[kind].match(head) is not None,
        otherwise=f"is not {NAMES[kind]}: name another file",
        used=used,
        option="-o",
    )
    for beside in files_of(path)[1:]:
        check_replaceable(
            beside,
            is_ours=lambda head: path.exists(),  # with it, it is an earlier export's
            otherwise=f"would be replaced by the weights of {path.name}: name another file",
            used=used,
            option="-o",
        )
    return kind


def files_of(path: Path) -> list[Path]:
    """Returns the files that an export is: OpenVINO's weights lie beside it in a `.bin`."""
    return [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
