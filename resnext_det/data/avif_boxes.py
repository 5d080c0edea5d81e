"""AVIFs opened without their EXIF block, which does not tell how they lie. Engine-neutral.

Pillow makes objects of the block's numbers while it opens the image, 41 bytes of memory for one of
the file, only to put the orientation of the image's own boxes (irot, imir) in place of the block's.
So it is not shown the block; nor XMP beside one, which would be asked where the boxes say nothing.
Layout: ISO/IEC 14496-12, sections 4.2 (boxes) and 8.11.6 (items; their types and content types).
"""

from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

_BRANDS = {b"avif", b"avis", b"mif1", b"msf1"}  # as Pillow tells
_EXIF, _XMP = b"Exif", b"application/rdf+xml"
_HIDDEN = {_EXIF: b"none", _XMP: b"application/nothing"}  # as long, so that all else stays in place
_MEDIA = b"mdat"
_MOST_BOXES = 1 << 10  # an image has three or four, a film some more


def without_exif(file: BinaryIO) -> BinaryIO:
    """Returns an AVIF of the same pixels and orientation that has no EXIF block.

    Args:
        file: at the beginning of an image file, where it is left again.

    Returns:
        The same file where it is no AVIF, or has no block.
    """
    head = file.read(12)
    file.seek(0)
    if head[4:8] != b"ftyp" or head[8:] not in _BRANDS:
        return file
    data = bytearray(file.read())
    file.seek(0)
    described = [slice(first, last) for first, last in _described(data)]
    if not any(_EXIF in data[part] for part in described):
        return file
    for part in described:
        for name, hidden in _HIDDEN.items():
            data[part] = data[part].replace(name, hidden)
    return BytesIO(data)


def _described(data: bytearray) -> Iterator[tuple[int, int]]:
    """Yields where boxes begin and end that hold no media, and the rest from where none is."""
    place = 0
    for _ in range(_MOST_BOXES):
        size, head = int.from_bytes(data[place : place + 4], "big"), 8
        name = data[place + 4 : place + 8]
        if size == 1:
            size, head = int.from_bytes(data[place + 8 : place + 16], "big"), 16
        elif size == 0:
            size = len(data) - place
        if size < head:
            break
        if name != _MEDIA:
            yield place, place + size
        place += size
    if place < len(data):
        yield place, len(data)
