"""Which way up an image lies, as its EXIF block says. Engine-neutral."""

from collections.abc import Callable
from typing import Any, BinaryIO

from PIL import Image

from resnext_det.data.opened_image import UnreadableImage
from resnext_det.data.tiff_directories import check_block

_ORIENTATION = 274
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = frozenset(_UPRIGHT[orientation] for orientation in (5, 6, 7, 8))
TURNED_BY_PILLOW = "TIFF"
"""The format that Pillow puts upright itself while it decodes; its header is upright before."""

_PNG_SIGNATURE = 8  # bytes
_MOST_CHUNKS = 1 << 16
_LATE_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
_GetExif = Callable[[Any], Image.Exif]


def stated_rotation(image: Image.Image, *, looks_behind: bool) -> Image.Transpose | None:
    """Returns what puts an image upright as it is stored; None: it is.

    Args:
        image: opened.
        looks_behind: whether a PNG is decoded to reach a block that stands behind its pixels.
    """
    # PNG's own getexif decodes the pixels to look behind them.
    plain = image.format == "PNG" and not looks_behind
    return exif_rotation(image, Image.Image.getexif if plain else type(image).getexif)


def rotation_left(image: Image.Image, *, looks_behind: bool) -> Image.Transpose | None:
    """Returns what puts an image upright once Pillow has decoded it; see `stated_rotation`."""
    if image.format == TURNED_BY_PILLOW:
        return None
    return stated_rotation(image, looks_behind=looks_behind)


def exif_rotation(image: Image.Image, getexif: _GetExif) -> Image.Transpose | None:
    """Returns what puts an image upright, read with a given `getexif`; None: it is.

    Raises:
        UnreadableImage: its EXIF block has a tag of far too many numbers.
    """
    try:
        exif = getexif(image)  # which makes no objects of numbers yet
        _check_block(image)
        orientation = exif.get(_ORIENTATION)
    except UnreadableImage:
        raise
    except Exception:  # a broken EXIF block does not make the pixels unreadable
        return None
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def _check_block(image: Image.Image) -> None:
    block = image.info.get("exif")
    if isinstance(block, bytes):
        check_block(block)


def has_late_block(file: BinaryIO) -> bool:
    """Tells whether a PNG has, behind its pixels, what may say that it is to be turned.

    The chunks are stepped over, so that pixels are not read. Each is its length (4 bytes, big
    end first), its name (4), so many bytes, a check sum (4): PNG specification, section 5.3.

    Args:
        file: of the PNG, at any place; it is left at another.
    """
    file.seek(_PNG_SIGNATURE)
    has_pixels = False
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        name = head[4:]
        rest = int.from_bytes(head[:4], "big") + 4
        has_pixels |= name == b"IDAT"
        if has_pixels and name == b"eXIf":
            return True
        if has_pixels and name in (b"tEXt", b"zTXt", b"iTXt"):
            start = file.read(min(rest, 22))  # of the longest keyword
            if start.startswith(_LATE_TEXTS):
                return True
            rest -= len(start)
        file.seek(rest, 1)
    return False
