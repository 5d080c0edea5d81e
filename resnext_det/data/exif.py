"""Which way up an image lies, as its EXIF block says. Engine-neutral."""

from typing import BinaryIO

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
_RAW_PROFILE = "Raw profile type exif"
_LATE_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")


def stated_rotation(image: Image.Image, *, looks_behind: bool) -> Image.Transpose | None:
    """Returns what puts an image upright as it is stored; None: it is.

    Args:
        image: opened.
        looks_behind: whether a PNG is decoded to reach a block that stands behind its pixels.

    Raises:
        UnreadableImage: its EXIF block has a tag of far too many numbers.
    """
    try:
        if looks_behind and image.format == "PNG" and "exif" not in image.info:
            image.load()  # as PNG's own getexif does
        _check_block(image)
        orientation = Image.Image.getexif(image).get(_ORIENTATION)
    except UnreadableImage:
        raise
    except Exception:  # a broken EXIF block does not make the pixels unreadable
        return None
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def rotation_left(image: Image.Image, *, looks_behind: bool) -> Image.Transpose | None:
    """Returns what puts an image upright once Pillow has decoded it; see `stated_rotation`."""
    if image.format == TURNED_BY_PILLOW:
        return None
    return stated_rotation(image, looks_behind=looks_behind)


def _check_block(image: Image.Image) -> None:
    block = image.info.get("exif")
    if block is None and (text := image.info.get(_RAW_PROFILE)):
        block = bytes.fromhex("".join(text.split("\n")[3:]))  # as Pillow reads it
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
