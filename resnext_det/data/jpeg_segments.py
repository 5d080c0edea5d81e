"""What a JPEG's header makes Pillow hold while it opens it. Engine-neutral.

Pillow notes each segment, each component of a frame and, of the EXIF block and of the index of
several pictures (MPO), each number: 30 bytes of memory and more for one of the file. So the header
is walked first, as Pillow walks it: over what does not belong there, up to the first scan. Layout:
ISO/IEC 10918-1, B.1.1 and B.2; EXIF 2.32, section 4.7.2; CIPA DC-007, section 5.1.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from resnext_det.data.opened_image import UnreadableImage
from resnext_det.data.tiff_directories import check_block, check_directory

MOST_PARTS = 1 << 16
"""Segments, and bytes that belong to none; a photograph without EXIF has about ten segments."""

MOST_EXIF_PARTS = 64
"""Segments of an EXIF block, each of at most 64 kB; the standard has one."""

LARGEST_FRAME = 20
"""Bytes of a frame header of four components; libjpeg decodes no other."""

_BEGINNING = b"\xff\xd8\xff"
_APP1, _APP2, _START_OF_SCAN = 0xE1, 0xE2, 0xDA
_EXIF, _INDEX = b"Exif\0\0", b"MPF\0"
# As Pillow has it, with hierarchical ones; 0xC4, 0xC8 and 0xCC are others.
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xDE} - {0xC4, 0xC8, 0xCC})
# Markers without a segment, as Pillow has it: restarts, start, end, extensions; 0 is no marker.
_BARE = frozenset({0, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})
_LEAST_MARKER = 0xC0  # Pillow goes no further at a lower one
_HARMLESS = frozenset({0xC4, 0xDB, 0xDD, 0xE0, *range(0xE3, 0xF0), 0xFE})
_LOOKED_AT = 4096  # bytes; without EXIF or a profile a header has about 600


def check_segments(file: BinaryIO) -> None:
    """Checks the header of a JPEG; what is none is left to Pillow.

    Args:
        file: at the beginning of an image, where it is left again.

    Raises:
        UnreadableImage: it has more parts, or more numbers in its EXIF block, than an image needs.
    """
    start = file.tell()
    try:
        head = file.read(_LOOKED_AT)
        if head.startswith(_BEGINNING) and not _is_plain(head):
            file.seek(start + 2)
            _check(file)
    finally:
        file.seek(start)


def _is_plain(head: bytes) -> bool:
    """Tells, sooner than a walk in the file, that nothing is odd or large up to the scan."""
    place = 2
    while place + 4 <= len(head) and head[place] == 0xFF:
        marker, length = head[place + 1], head[place + 2] << 8 | head[place + 3]
        if marker == _START_OF_SCAN:
            return True
        if marker not in _HARMLESS and (marker not in _FRAMES or length + 2 > LARGEST_FRAME):
            return False
        if length < 2:
            return False
        place += 2 + length
    return False


def _check(file: BinaryIO) -> None:
    exif: list[bytes] = []
    index = b""
    for marker, length in _segments(file):
        if marker == _APP1 and length >= len(_EXIF):
            found = file.read(length)
            if found.startswith(_EXIF):
                exif.append(found if not exif else found[len(_EXIF) :])
        elif marker == _APP2:
            found = file.read(length)
            if found.startswith(_INDEX):
                index = found[len(_INDEX) :]
        elif marker in _FRAMES and length + 2 > LARGEST_FRAME:
            raise UnreadableImage(
                f"its frame header has {length + 2:,} bytes; at most {LARGEST_FRAME} are read"
            )
        if len(exif) > MOST_EXIF_PARTS:
            raise UnreadableImage(f"its EXIF block has more than {MOST_EXIF_PARTS} parts")
    if exif:
        check_block(b"".join(exif))
    if index:
        check_directory(BytesIO(index))


def _segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yields each segment's marker and the bytes behind its length, where the file then is."""
    for _ in range(MOST_PARTS):
        head = file.read(4)
        if len(head) < 2:
            return
        marker = head[1]
        if head[0] != 0xFF or marker == 0xFF:  # no marker, or a fill byte before it
            file.seek(1 - len(head), 1)
        elif marker in _BARE:
            file.seek(2 - len(head), 1)
        elif marker < _LEAST_MARKER or marker == _START_OF_SCAN or len(head) < 4:
            return
        else:
            length = max(int.from_bytes(head[2:], "big") - 2, 0)
            behind = file.tell() + length
            yield marker, length
            file.seek(behind)
    raise UnreadableImage(f"its header has more than {MOST_PARTS:,} parts")
