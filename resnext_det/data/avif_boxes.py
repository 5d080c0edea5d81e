"""AVIFs opened without their EXIF block, and with few places to look at. Engine-neutral.

Pillow makes objects of the block's numbers while it opens the image, only to put the orientation
of the image's own boxes (irot, imir) in place of the block's. So it is not shown the block; nor XMP
beside one, which would be asked where the boxes say nothing. Nor may items have more places in the
file than an image needs: libavif makes a record of each, and 6 bytes can claim 65,535 empty ones.
Layout: ISO/IEC 14496-12, sections 4.2 (boxes), 8.11.3 (places, in iloc) and 8.11.6 (items; their
types and content types).
"""

from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from resnext_det.data.opened_image import UnreadableImage

MOST_PLACES = 1 << 14
"""Items and the places of their bytes, in all tables; of tiles, each is an item in one place."""

_BRANDS = {b"avif", b"avis", b"mif1", b"msf1"}  # as Pillow tells
_EXIF, _XMP = b"Exif", b"application/rdf+xml"
_HIDDEN = {_EXIF: b"none", _XMP: b"application/nothing"}  # as long, so that all else stays in place
_MEDIA, _PLACES = b"mdat", b"iloc"
_MOST_BOXES = 1 << 10  # an image has three or four, a film some more


def without_exif(file: BinaryIO) -> BinaryIO:
    """Checks an AVIF and returns one of the same pixels and orientation without an EXIF block.

    Args:
        file: at the beginning of an image file, where it is left again.

    Returns:
        The same file where it is no AVIF, or has no block.

    Raises:
        UnreadableImage: its items have more places than an image needs.
    """
    head = file.read(12)
    file.seek(0)
    if head[4:8] != b"ftyp" or head[8:] not in _BRANDS:
        return file
    data = bytearray(file.read())
    file.seek(0)
    described = [slice(first, last) for first, last in _described(data)]
    _check_places(data, described)
    if not any(_EXIF in data[part] for part in described):
        return file
    for part in described:
        for name, hidden in _HIDDEN.items():
            data[part] = data[part].replace(name, hidden)
    return BytesIO(data)


def _check_places(data: bytearray, described: list[slice]) -> None:
    """Adds up what all tables of places claim, wherever one may stand."""
    left = MOST_PLACES
    for part in described:
        found = data.find(_PLACES, part.start, part.stop)
        while found >= 0:
            for count in _counts(data, found + len(_PLACES)):
                left -= 1 + count
                if left < 0:
                    raise UnreadableImage(
                        f"its items have more than {MOST_PLACES:,} places in the file"
                    )
            left -= 1
            found = data.find(_PLACES, found + 1, part.stop)


def _counts(data: bytearray, place: int) -> Iterator[int]:
    """Yields how many places each item of a table has, as far as the file goes."""
    version, sizes = data[place : place + 1], data[place + 4 : place + 6]
    if len(sizes) < 2:
        return
    is_wide, has_index = version[0] >= 2, version[0] >= 1
    offset, length, base = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    each = offset + length + (sizes[1] & 15 if has_index else 0)
    place += 6 + (4 if is_wide else 2)
    # An item's number, how its places are meant (2 bytes), which file they are in (2), their base.
    before = (4 if is_wide else 2) + (2 if has_index else 0) + 2 + base
    for _ in range(int.from_bytes(data[place - (4 if is_wide else 2) : place], "big")):
        count = data[place + before : place + before + 2]
        if len(count) < 2:
            return
        yield int.from_bytes(count, "big")
        place += before + 2 + int.from_bytes(count, "big") * each


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
