"""How many numbers a TIFF's directory, or an EXIF block's, makes Pillow hold. Engine-neutral.

Pillow makes an object of each number of a tag, 300 bytes for a fraction that has 8 in the file,
and of some tags already while it opens the image. So the directory is looked at first. Layout: TIFF
6.0, section 2; BigTIFF has 8 bytes where it has 4, and 8 for the number of entries.
"""

import struct
from io import BytesIO
from typing import BinaryIO

from resnext_det.data.opened_image import UnreadableImage

LARGEST_NUMBERS = 1 << 20
"""Bytes of all numbers of a directory, but for where its strips lie; a color map has 400 kB."""

MOST_STRIPS = 1 << 20
"""Strips or tiles; an image of the most pixels has 2^18 tiles of 16 x 16 in each channel."""

_BYTES_OF_TYPE = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8,
}  # fmt: skip
_WHOLE = {3, 4, 16}
_BYTES = {1, 2, 7}  # bytes, text, and what is not said
_STRIPS = {273, 279, 324, 325}  # StripOffsets, StripByteCounts, TileOffsets, TileByteCounts
_MOST_ENTRIES = 1 << 16  # as many as there are tags
_BEGINNINGS = {b"II\x2a\0", b"MM\0\x2a", b"MM\x2a\0", b"II\0\x2a", b"II\x2b\0", b"MM\0\x2b"}
_EXIF = b"Exif\0\0"


def check_block(block: bytes) -> None:
    """Checks an EXIF block, with or without the one or two names that Pillow takes off it.

    Raises:
        UnreadableImage: it has more numbers than an image needs.
    """
    check_directory(BytesIO(block.removeprefix(_EXIF).removeprefix(_EXIF)))


def check_directory(file: BinaryIO) -> None:
    """Checks the first directory of a TIFF; what is none, or is cut off, is left to Pillow.

    Args:
        file: at the beginning of the TIFF, where it is left again.

    Raises:
        UnreadableImage: it has more numbers than an image needs.
    """
    start = file.tell()
    try:
        head = file.read(16)
        if head[:4] in _BEGINNINGS:
            _check_entries(file, start, head)
    except (struct.error, OverflowError):  # cut off, or a place that no file has
        pass
    finally:
        file.seek(start)


def _check_entries(file: BinaryIO, start: int, head: bytes) -> None:
    all_bytes = file.seek(0, 2) - start
    order = "<" if head.startswith(b"II") else ">"
    is_big = head[2] == 43  # as Pillow tells
    (place,) = struct.unpack_from(f"{order}Q" if is_big else f"{order}L", head, 8 if is_big else 4)
    file.seek(start + place)
    count_layout, layout = (
        (f"{order}Q", f"{order}HHQQ") if is_big else (f"{order}H", f"{order}HHLL")
    )
    (number,) = struct.unpack(count_layout, file.read(struct.calcsize(count_layout)))
    if number > _MOST_ENTRIES:
        raise UnreadableImage(f"its TIFF directory has {number:,} entries; at most 65,536 are read")
    size = struct.calcsize(layout)
    entries = file.read(number * size)
    whole = entries[: len(entries) // size * size]
    left, claimed = LARGEST_NUMBERS, 0
    for tag, kind, count, offset in struct.iter_unpack(layout, whole):
        each = _BYTES_OF_TYPE.get(kind, 0)
        # Pillow passes over a tag whose bytes are not there, as they are in many photographs.
        if count * each <= (8 if is_big else 4) or offset + count * each > all_bytes:
            continue
        if tag in _STRIPS and kind in _WHOLE:
            _check(tag, count, MOST_STRIPS)
        elif kind in _BYTES:
            claimed += count
        else:
            _check(tag, count, left // each)
            left -= count * each
    # Tags may share their bytes, of which Pillow 11.3 still made a copy for each.
    if claimed > 2 * all_bytes:
        raise UnreadableImage("its TIFF tags claim more than twice the bytes that there are")


def _check(tag: int, count: int, most: int) -> None:
    if count > most:
        raise UnreadableImage(
            f"its TIFF tag {tag} has {count:,} numbers; at most {most:,} are read"
        )
