"""Label files of strangers as text: plain files, of bounded length, in UTF-8. Engine-neutral."""

from pathlib import Path

from resnext_det.errors import UserError
from resnext_det.json_files import read_plain

MOST_BYTES = 1 << 26
"""Of one label file. The largest of published sets have less than one MB."""


def read_bytes(folder: Path, name: str) -> bytes:
    """Reads a label file.

    Raises:
        UserError: it cannot be read, is no plain file, or has more than `MOST_BYTES`.
    """
    data = read_plain(folder / name)
    if len(data) > MOST_BYTES:
        raise UserError(f"{folder / name}: has {len(data):,} bytes; at most {MOST_BYTES:,}")
    return data


def read_text(folder: Path, name: str) -> str:
    """Reads a text file.

    Raises:
        UserError: as `read_bytes`; it is no text.
    """
    try:
        return read_bytes(folder, name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{folder / name}: not UTF-8 text; write it anew") from error


def read_lines(folder: Path, name: str) -> list[str]:
    """Reads a text file's lines, without blanks around them.

    Raises:
        UserError: as `read_text`.
    """
    return [line.strip() for line in read_text(folder, name).splitlines()]
