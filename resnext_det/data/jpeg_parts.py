"""Which rows of a JPEG are decoded for a part of it, and how far scaled. Engine-neutral.

The entropy-coded rows of a baseline JPEG follow one another without an index, so the rows above
a part are decoded whatever is done; the rows below need not be. libjpeg stops after the rows
that the frame header (ISO/IEC 10918-1, B.2.2) states, so a lower height there ends the work
early. In a 500x375 photograph of 110 kB the entropy decoder takes about two thirds of the time,
and columns cost little beside it: they are decoded whole.
"""

from dataclasses import dataclass, replace

import numpy as np
import simplejpeg
from numpy.typing import NDArray

_BASELINE = 0xC0
_START_OF_SCAN, _END_OF_IMAGE, _RESTART_INTERVAL = 0xDA, b"\xff\xd9", 0xDD
_START, _TABLES, _HUFFMAN, _JFIF = b"\xff\xd8", 0xDB, 0xC4, 0xE0
_BLOCK = 8
# Rows below a part that its lowest rows take colour from: chroma at half the height is spread
# over the two neighbours.
_UPSAMPLING_MARGIN = 2
# Below this share of rows the header's patch, and the look for the end, cost more than they save.
_LEAST_SAVED = 0.04
_MOST_ROWS = 65500
"""libjpeg refuses an image that claims more; so must what changes the claim."""
_REST_IS_LEFT = "extraneous bytes before marker 0xd9"


class BrokenJpeg(ValueError):
    """A JPEG that libjpeg would not decode without a warning."""


@dataclass(frozen=True)
class JpegFrame:
    """What the headers of a JPEG say.

    Attributes:
        height: rows of the image.
        width: columns.
        height_offset: where in the file the height is written; 0 where the rows must be decoded
            to the last: progressive files, several scans, restart intervals, something behind
            the image's end.
        mcu_height: rows that are coded together, 8 or 16 (or 32).
    """

    height: int
    width: int
    height_offset: int
    mcu_height: int


def read_frame(data: bytes, height: int, width: int) -> JpegFrame:
    """Reads the headers of a JPEG up to its first scan.

    Args:
        data: the file, whose size is known to be this height and width.
        height: rows of the image.
        width: columns.
    """
    whole = JpegFrame(height, width, 0, height)
    if not data.endswith(_END_OF_IMAGE) or height > _MOST_ROWS:
        return whole
    found, place = whole, 2
    while place + 9 < len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == _START_OF_SCAN:
            return found if _holds_all(data, place, found) else whole
        if marker == _RESTART_INTERVAL and data[place + 4 : place + 6] != b"\x00\x00":
            return whole
        if marker == _BASELINE:
            found = _frame(data, place, whole)
        place += 2 + length
    return whole


def read_plain_frame(data: bytes) -> JpegFrame | None:
    """Reads the headers of a JPEG that has nothing but what it must have, without Pillow.

    Returns:
        What they say; None where anything else is in them (an EXIF block, for one, or a profile)
        or anything is odd: Pillow then reads them, or refuses the file.
    """
    place = 2
    size: tuple[int, int] | None = None
    while data[:2] == _START and place + 20 < len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == _START_OF_SCAN:
            return None if size is None else read_frame(data, *size)
        if marker == _BASELINE:
            if size is not None or data[place + 4] != 8 or data[place + 9] not in (1, 3):
                return None
            if length != 8 + 3 * data[place + 9]:
                return None
            size = (
                int.from_bytes(data[place + 5 : place + 7], "big"),
                int.from_bytes(data[place + 7 : place + 9], "big"),
            )
        elif not _is_plain(marker, length, data, place):
            return None
        place += 2 + length
    return None


def _is_plain(marker: int, length: int, data: bytes, place: int) -> bool:
    """Tells whether a segment is one of JFIF, of Huffman tables or of 8-bit quantisation."""
    if marker == _TABLES:
        count, rest = divmod(length - 2, 65)
        starts = range(place + 4, place + 4 + 65 * count, 65)
        return rest == 0 and all(data[start] < 4 for start in starts if start < len(data))
    return marker == _HUFFMAN or (marker == _JFIF and length == 16)


def _frame(data: bytes, place: int, whole: JpegFrame) -> JpegFrame:
    """Reads a baseline frame header: length, precision, height, width, components."""
    size = whole.height.to_bytes(2, "big") + whole.width.to_bytes(2, "big")
    count = data[place + 9]
    if data[place + 5 : place + 9] != size or not 1 <= count <= 3:
        return whole
    # Each component: its name, sampling factors (columns and rows), quantisation table.
    factors = [data[place + 11 + 3 * i] & 15 for i in range(count)]
    mcu = _BLOCK * (max(factors) if count > 1 else 1)
    return replace(whole, height_offset=place + 5, mcu_height=mcu)


def _holds_all(data: bytes, place: int, frame: JpegFrame) -> bool:
    """Tells whether the first scan holds all components of a baseline frame."""
    return frame.height_offset > 0 and data[place + 4] == data[frame.height_offset + 4]


def rows_needed(frame: JpegFrame, bottom: int, scale: int) -> int:
    """Returns how many rows are decoded for a part that ends above row `bottom`.

    Args:
        frame: what the headers say.
        bottom: the first row that the part does not have.
        scale: by how much the image is reduced while it is decoded.
    """
    if not frame.height_offset:
        return frame.height
    needed = bottom + _UPSAMPLING_MARGIN * scale
    rows = min(frame.height, -(-needed // frame.mcu_height) * frame.mcu_height)
    return rows if frame.height - rows >= _LEAST_SAVED * frame.height else frame.height


def decode_rows(data: bytes, frame: JpegFrame, rows: int, scale: int) -> NDArray[np.uint8]:
    """Decodes the first rows of a JPEG.

    Args:
        data: the file.
        frame: what its headers say.
        rows: how many, from `rows_needed`.
        scale: 1, 2, 4 or 8: by how much the image is reduced in both directions.

    Returns:
        (rows / scale, width / scale, 3) uint8 RGB, sizes rounded up.

    Raises:
        BrokenJpeg: libjpeg warns of broken or missing data.
    """
    height, width = -(-rows // scale), -(-frame.width // scale)
    if rows < frame.height:
        at = frame.height_offset
        data = data[:at] + rows.to_bytes(2, "big") + data[at + 2 :]
    pixels = np.empty((height, width, 3), np.uint8)
    try:
        simplejpeg.decode_jpeg(
            data,
            min_height=height if scale > 1 else 0,
            min_width=width if scale > 1 else 0,
            min_factor=scale,
            buffer=pixels,
        )
    except ValueError as error:
        # The pixels are there, and libjpeg has found the rest of the rows and then the end.
        if rows == frame.height or not str(error).endswith(_REST_IS_LEFT):
            raise BrokenJpeg(str(error)) from error
    return pixels
